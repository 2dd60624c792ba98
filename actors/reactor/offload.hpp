#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>

#include "actors/reactor/loop.hpp"

namespace sluice::reactor {

/// Runs a call that may block where no loop waits for it: now or later, on any thread, one or more at a time.
using offload = std::function<void(std::function<void()>)>;

/// What suits loops of this kind: empty, but in the simulator, which is one thread, and whose media answer at once.
offload offload_of(const loop& loops);

/// Such calls of one owner.
class offloaded_calls {
 public:
  /// `how` empty: on threads, each as long as its call.
  explicit offloaded_calls(offload how) : offload_(std::move(how)) {}
  /// Waits for those threads.
  ~offloaded_calls();
  offloaded_calls(const offloaded_calls&) = delete;
  offloaded_calls& operator=(const offloaded_calls&) = delete;

  void run(std::function<void()> call);

 private:
  const offload offload_;
  std::mutex guard_;
  std::condition_variable fewer_;
  unsigned threads_ = 0;
};

}  // namespace sluice::reactor
