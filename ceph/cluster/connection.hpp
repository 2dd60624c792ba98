#pragma once
#include <rados/librados.h>

#include <atomic>
#include <chrono>
#include <compare>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "actors/base/result.hpp"
#include "ceph/cluster/budget.hpp"
#include "ceph/cluster/helper.hpp"

/// The connection to a Ceph cluster: one for many images, so that threads and sockets do not grow with them. The only
/// room besides ceph/rbd that knows librados.
namespace sluice::cluster {

/// Which cluster, as whom, and with whom a connection is shared.
struct address {
  std::string conf;  // path of ceph.conf; empty: where librados looks by itself
  std::string user;  // without "client."; empty: librados' own default, admin
  /// What the cluster fences is a connection. Images that are to fail over apart from others have a group of their own.
  std::string failover_group;
  auto operator<=>(const address&) const = default;
  std::string client() const { return "client." + (user.empty() ? "admin" : user); }
};

/// Connected until it is destroyed, which any thread may do: what blocks is done by helper threads.
class connection : public std::enable_shared_from_this<connection> {
 public:
  static constexpr std::chrono::seconds patience{10};  // for a monitor's answer
  /// The settings by which librbd acknowledges writes before they are on the OSDs, and what turns each off: its cache
  /// in memory, and the log on a local disk that another gateway knows nothing of.
  static constexpr std::pair<std::string_view, std::string_view> caches[] = {{"rbd_cache", "false"},
                                                                             {"rbd_persistent_cache_mode", "disabled"}};

  /// Blocks until a monitor answered, `patience` at most. `osd_patience`: when operations fail that OSDs do not answer;
  /// 0: never. A write that fails so may still land.
  static result<std::shared_ptr<connection>> open(const address& to, std::chrono::seconds osd_patience = {});
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  const address& to() const { return to_; }
  rados_t handle() const { return handle_; }
  /// For calls that block.
  helper& offload() { return offload_; }
  budget& share() { return budget_; }
  /// What the cluster would put on its blocklist: "127.0.0.1:0/123456".
  const std::string& addresses() const { return addresses_; }

  /// The cluster has fenced this connection: nothing will ever go through it again.
  void condemn() { condemned_.store(true); }
  bool condemned() const { return condemned_.load(); }

  /// Whether to look now whether another connection fares better: at most one of those who ask gets true in a while.
  bool claim_trial(std::chrono::steady_clock::time_point now);
  /// Has the cluster fence another connection: when this is true, nothing that `other` sent will ever be done. Blocks.
  bool fence(const connection& other) const;
  /// librados will never answer what this connection was asked, and the cluster has fenced it. What librados holds of
  /// it is left to it for good: to close it would wait for ever.
  void abandon();
  bool abandoned() const { return abandoned_.load(); }

 private:
  connection(address to, rados_t handle);

  const address to_;
  const rados_t handle_;
  std::string addresses_;
  std::atomic<bool> condemned_ = false, abandoned_ = false;
  std::mutex trial_guard_;
  std::chrono::steady_clock::time_point next_trial_;
  budget budget_;
  helper offload_;
};

/// A pool, or a namespace of one, of a connection.
class pool {
 public:
  /// Blocks until the connection has a map of the cluster.
  static result<std::shared_ptr<pool>> open(std::shared_ptr<connection> on, const std::string& name,
                                            const std::string& name_space);
  ~pool();
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  rados_ioctx_t handle() const { return handle_; }
  connection& on() const { return *on_; }

 private:
  pool(std::shared_ptr<connection> on, rados_ioctx_t handle) : on_(std::move(on)), handle_(handle) {}
  std::shared_ptr<connection> on_;
  rados_ioctx_t handle_;
};

/// The text of a negative error number: "No such file or directory".
std::string text_of(int negative_error);

}  // namespace sluice::cluster
