#pragma once
#include "actors/reactor/loop.hpp"

/// The intrusive queues that every kind of loop runs its turns from.
namespace sluice::reactor {

inline constexpr unsigned run_limit = 1024;  // deferred work per turn, so that completions are never starved

/// First in, first out, through runnable::next_.
class run_list {
 public:
  bool empty() const { return first_ == nullptr; }
  /// A no-op when the work is queued already.
  void push(runnable& work) {
    if (work.queued_) return;
    work.queued_ = true;
    work.next_ = nullptr;
    *last_ = &work;
    last_ = &work.next_;
  }
  /// Runs what is queued now, not what that queues again; at most `limit`. Returns how many ran.
  unsigned run(unsigned limit) noexcept;
  /// The first, which is queued no more. Not of an empty list.
  runnable* pop();
  /// Forgets what is queued.
  void clear() noexcept;

 private:
  runnable* first_ = nullptr;
  runnable** last_ = &first_;
};

/// Completions that the loop itself has ready; chained through operation::scratch.
class completion_list {
 public:
  bool empty() const { return first_ == nullptr; }
  void push(operation& op, std::int64_t result);
  /// Completes what is queued now. Returns how many.
  unsigned run() noexcept;
  /// Forgets what is queued.
  void clear() noexcept;

 private:
  operation* first_ = nullptr;
  operation** last_ = &first_;
};

/// Marks an operation as started; starting it twice is a programmer error.
inline void begin(operation& op) {
  SLUICE_CHECK(!op.in_flight_);
  op.in_flight_ = true;
}
/// The operation may be restarted or destroyed by its handler: it must not be touched afterwards.
inline void finish(operation& op, std::int64_t result) {
  op.in_flight_ = false;
  op.on_complete(result);
}

}  // namespace sluice::reactor
