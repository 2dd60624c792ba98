#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>

#include "actors/reactor/loop.hpp"

namespace sluice::journal {

/// Runs a call that may block where no loop waits for it: now or later, on any thread, one or more at a time.
using aside = std::function<void(std::function<void()>)>;

/// What suits loops of this kind: empty, but in the simulator, which is one thread, and whose media answer at once.
aside aside_for(const reactor::loop& loops);

/// Such calls of one owner.
class aside_calls {
 public:
  /// `elsewhere` empty: on threads, each as long as its call.
  explicit aside_calls(aside elsewhere) : elsewhere_(std::move(elsewhere)) {}
  /// Waits for those threads.
  ~aside_calls();
  aside_calls(const aside_calls&) = delete;
  aside_calls& operator=(const aside_calls&) = delete;

  void run(std::function<void()> call);

 private:
  const aside elsewhere_;
  std::mutex guard_;
  std::condition_variable fewer_;
  unsigned threads_ = 0;
};

}  // namespace sluice::journal
