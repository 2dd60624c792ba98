#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

namespace sluice::port {

/// The sessions or channels of a port, which its stop waits for. Any thread: only logins and their ends come here, so
/// a mutex is good enough. A member is alive until it has left.
template <class Member>
class member_book {
 public:
  /// False: the port stops.
  bool join(const std::shared_ptr<Member>& who) {
    const std::lock_guard lock(mutex_);
    if (stopped_) return false;
    members_.insert(who.get());
    return true;
  }
  /// From the member's own core, when nothing of it is left.
  void left(Member& who) {
    std::function<void()> last;
    {
      const std::lock_guard lock(mutex_);
      members_.erase(&who);
      if (stopped_ && members_.empty()) last = *stopped_;
    }
    if (last) last();
  }
  /// Lets nobody join any more. Those that are there, for the caller to end; `stopped` is called when the last of them
  /// has left, on its thread, and by nobody when there is none.
  std::vector<std::shared_ptr<Member>> stop(std::function<void()> stopped) {
    const std::lock_guard lock(mutex_);
    stopped_ = std::make_unique<std::function<void()>>(std::move(stopped));
    std::vector<std::shared_ptr<Member>> all;
    for (Member* const each : members_) all.push_back(each->shared_from_this());
    return all;
  }

 private:
  std::mutex mutex_;
  std::set<Member*> members_;
  std::unique_ptr<std::function<void()>> stopped_;  // none: it has not stopped
};

}  // namespace sluice::port
