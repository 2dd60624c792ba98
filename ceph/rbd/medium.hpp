#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "ceph/rbd/image.hpp"
#include "ceph/rbd/live_histogram.hpp"
#include "tiers/store/change_listeners.hpp"
#include "tiers/store/store.hpp"

namespace sluice::rbd {

/// What the channels of a store have counted, alive as long as somebody looks at it.
struct channel_figures {
  live_histogram reads, writes;
  std::atomic<std::uint64_t> in_flight = 0;  // at librbd
  std::atomic<std::uint64_t> waiting = 0;    // for the connection's budget, or for the image to be opened anew
  std::atomic<std::uint64_t> writing = 0;    // of those at librbd, what changes the image
  std::atomic<std::uint64_t> written = 0;    // what has come back of that, ever
  std::atomic<std::uint64_t> no_space = 0;   // of what has come back: refused for want of space
};

/// The image behind a store through all its ups and downs: whether the cluster answers, whether it has fenced us, and
/// the image opened anew on another connection after that. Any thread.
class medium : public std::enable_shared_from_this<medium> {
 public:
  static constexpr std::chrono::seconds open_limit{30};

  /// Blocks; control thread. `all` outlives close().
  static result<std::shared_ptr<medium>> open(cluster::connections& all, const options& wanted);
  /// No beat runs any more when it returns.
  void close();

  const options& wanted() const { return wanted_; }
  const image_facts& facts() const { return facts_; }
  std::uint64_t size_bytes() const { return size_bytes_.load(std::memory_order_relaxed); }
  store::properties describe() const;
  store::availability available() const noexcept;
  std::string health() const;
  std::vector<store::figure> figures() const;
  /// These block, open_limit at most; control threads. Marks and binding: errc::unsupported of a snapshot, which has no
  /// header of its own.
  result<void> resize(std::uint64_t size_bytes);
  result<store::ownership> read_ownership();
  result<void> write_ownership(const store::ownership& wanted);
  result<std::uint64_t> read_binding();
  result<void> write_binding(std::uint64_t flash);
  void on_change(store::changed callback) { listeners_.add(std::move(callback)); }

  /// The image to use now; null while it is being opened anew.
  std::shared_ptr<image> current() const;
  /// The connection of `through` was fenced: from now on it is not used, and another one is made.
  void fenced(const image& through);

  /// `renewed` is called on any thread when there is another image, or none, until leave().
  void join(const void* who, std::function<void()> renewed, std::shared_ptr<channel_figures> figures);
  void leave(const void* who);

 private:
  struct member {
    const void* who;
    std::function<void()> renewed;
    std::shared_ptr<channel_figures> figures;
  };
  struct probe;

  medium(cluster::connections& all, options wanted) : connections_(all), wanted_(std::move(wanted)) {}
  result<void> install(const std::shared_ptr<image>& opened);
  template <class Work>
  auto ask(Work work) -> decltype(work(std::declval<image&>()));
  result<std::string> note(const char* name);
  result<void> set_attribute(const char* name, std::string text);
  void beat();
  /// Of all channels.
  struct write_counts {
    std::uint64_t writing = 0, written = 0, refused = 0;
  };
  write_counts count_writes() const;
  void look_at_writes(const write_counts& sum, std::uint64_t now);
  void look_for_space(const write_counts& sum, std::uint64_t now);
  void send_probe(const std::shared_ptr<image>& through);
  void probed(const std::shared_ptr<image>& through, int result, std::uint64_t sent_ns);
  void look_for_another_connection(std::shared_ptr<image> silent);
  void reopen();
  void reopened(result<std::shared_ptr<image>> outcome);
  void look_again();
  void tell_members();

  cluster::connections& connections_;
  const options wanted_;
  image_facts facts_;  // of the image first opened; another one by the same name is not ours
  std::atomic<std::uint64_t> size_bytes_ = 0;
  std::atomic<bool> gone_ = false, silent_ = false, fenced_ = false;
  std::atomic<bool> looking_ = false;
  std::atomic<bool> writes_wait_ = false;  // though the cluster answers
  std::atomic<bool> full_ = false;         // there was no space for a write, and none has said otherwise since
  std::atomic<std::uint64_t> reopened_ = 0, fences_ = 0;
  std::atomic<std::uint64_t> probe_ns_ = 0;  // how long the last probe took

  mutable std::mutex guard_;  // of what follows
  std::shared_ptr<image> image_;
  std::string object_map_ = "unknown";
  std::string last_failure_;
  bool opening_ = false, closed_ = false;
  std::uint64_t probe_sent_ns_ = 0;  // 0: none is out
  std::uint64_t next_probe_ns_ = 0, next_open_ns_ = 0, next_rescue_ns_ = 0;

  std::uint64_t written_before_ = 0, writes_moved_ns_ = 0;                // the beat's
  std::uint64_t refused_before_ = 0, taken_before_ = 0, refused_ns_ = 0;  // likewise

  mutable std::mutex members_guard_;
  std::vector<member> members_;
  store::change_listeners listeners_;
};

}  // namespace sluice::rbd
