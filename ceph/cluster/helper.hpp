#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace sluice::cluster {

/// A thread of its own for library calls that block: for milliseconds as a rule, for ever when the cluster does not
/// answer. Jobs run one after the other. Any thread may add one; nobody waits for the thread to end, because it may be
/// stuck: it lives until its last job is done.
class helper {
 public:
  helper();
  /// Jobs that wait still run; then the thread ends.
  ~helper();
  helper(const helper&) = delete;
  helper& operator=(const helper&) = delete;

  void run(std::function<void()> job);

  /// Runs `call` and waits for what it returns, `limit` at most. Nullopt when it takes longer: then `too_late` runs
  /// with the result once there is one. Not from a job of the same helper.
  template <class Call, class TooLate>
  auto call_within(std::chrono::nanoseconds limit, Call call, TooLate too_late) -> std::optional<decltype(call())> {
    struct meeting {
      std::mutex guard;
      std::condition_variable met;
      std::optional<decltype(call())> outcome;
      bool abandoned = false;
    };
    auto shared = std::make_shared<meeting>();
    run([shared, call = std::move(call), too_late = std::move(too_late)]() mutable {
      auto outcome = call();
      const std::unique_lock lock(shared->guard);
      if (shared->abandoned) return too_late(std::move(outcome));
      shared->outcome = std::move(outcome);
      shared->met.notify_one();
    });
    std::unique_lock lock(shared->guard);
    if (!shared->met.wait_for(lock, limit, [&] { return shared->outcome.has_value(); })) {
      shared->abandoned = true;
      return std::nullopt;
    }
    return std::move(shared->outcome);
  }

  /// Nobody waits for its jobs any more: the library will never end them.
  void abandon();

  /// Waits until no helper has a job, and the threads of those that were dropped have ended; false when that takes
  /// longer than `limit`.
  static bool wait_until_none_is_busy(std::chrono::nanoseconds limit);

 private:
  struct state {
    std::mutex guard;
    std::condition_variable changed;
    std::deque<std::function<void()>> jobs;
    bool dropped = false;
    bool abandoned = false;
    std::size_t counted = 0;  // its part of what wait_until_none_is_busy() waits for

    void count();
    void uncount();
  };
  static void work(const std::shared_ptr<state>& shared);

  std::shared_ptr<state> state_ = std::make_shared<state>();
};

/// Makes the process end without running destructors of static objects, should it end while a helper is stuck inside
/// the library: those would pull the ground from under it.
void leave_stuck_helpers_behind();

}  // namespace sluice::cluster
