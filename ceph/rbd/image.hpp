#pragma once
#include <rbd/librbd.h>

#include <functional>
#include <memory>
#include <string>

#include "ceph/cluster/connections.hpp"
#include "ceph/rbd/options.hpp"
#include "ceph/rbd/write_account.hpp"

namespace sluice::rbd {

/// What an image is, apart from its size: constant while it is open.
struct image_facts {
  std::string id;
  std::uint64_t object_bytes = 0;  // of one object
  std::uint64_t atomic_bytes = 0;  // of the stripe unit: aligned pieces of so much lie in one object
  std::uint64_t features = 0;
  bool encrypted = false;
};

/// An open image. Destroyed by any thread: what blocks is done by the connection's helper.
class image {
 public:
  /// Called on a thread of librbd when the image's header changed. It must not call librbd.
  using changed = std::function<void()>;

  /// Opens, and creates when that was asked for. Blocks, `limit` at most; what takes longer is closed when it comes.
  static result<std::shared_ptr<image>> open(std::shared_ptr<cluster::connection> on, const options& wanted,
                                             std::chrono::nanoseconds limit);
  /// The same without a limit.
  static result<std::shared_ptr<image>> open_now(std::shared_ptr<cluster::connection> on, const options& wanted);
  ~image();
  image(const image&) = delete;
  image& operator=(const image&) = delete;

  rbd_image_t handle() const { return handle_; }
  cluster::connection& on() const { return *on_; }
  const cluster::pool& pool() const { return *pool_; }
  const image_facts& facts() const { return facts_; }
  /// The object that says what the image is; gone with the image.
  std::string header_object() const { return "rbd_header." + facts_.id; }

  write_account& account() noexcept { return account_; }

  /// Blocks on the cluster.
  result<std::uint64_t> size() const;
  result<void> resize(std::uint64_t size_bytes);
  /// "off", "valid" or "invalid". Blocks on the cluster.
  std::string object_map() const;
  result<void> watch(changed callback);
  /// A short note that stays with the image: empty when there is none, errc::corrupt when it is too long for one. It
  /// is an attribute of the header object, which clones and copies do not inherit, and which is written without the
  /// exclusive lock: after a crash that is not to be had until the cluster has forgotten who held it. Blocks on the
  /// cluster.
  result<std::string> note(const char* name) const;
  result<void> set_attribute(const char* name, const std::string& text);
  static constexpr const char* ownership_attribute = "sluice.mark";
  static constexpr const char* binding_attribute = "sluice.flash";

 private:
  image(std::shared_ptr<cluster::connection> on, std::shared_ptr<cluster::pool> in, rbd_image_t handle)
      : on_(std::move(on)), pool_(std::move(in)), handle_(handle) {}
  static result<void> create(cluster::pool& in, const options& wanted);
  result<void> load_encryption(const options& wanted);
  result<void> learn();
  result<void> refuse_a_cache(const options& wanted) const;
  result<void> refuse_company(const options& wanted) const;

  std::shared_ptr<cluster::connection> on_;
  std::shared_ptr<cluster::pool> pool_;
  rbd_image_t handle_;
  image_facts facts_;
  std::shared_ptr<changed> watcher_;  // lives until librbd has forgotten it
  std::uint64_t watch_ = 0;
  write_account account_;
};

}  // namespace sluice::rbd
