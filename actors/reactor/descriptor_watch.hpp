#pragma once
#include "actors/reactor/loop.hpp"

namespace sluice::reactor {

/// Tells again and again that a descriptor of somebody else is ready, until it is stopped: a loop's poll that starts
/// anew when the handler has returned. What the handler leaves unread is told again, in a later turn.
class descriptor_watch : private operation {
 public:
  explicit descriptor_watch(loop& on) : loop_(on) {}

  bool watching() const { return watching_; }
  /// Begins to watch for poll_events. Not while watching. Home only.
  void start(handle foreign, unsigned events);
  /// on_stopped() follows, never from within this call but when it comes from on_ready(): then right after that has
  /// returned. Only then may the descriptor be closed and the watch go. A no-op when not watching.
  void stop() noexcept;

 protected:
  ~descriptor_watch() = default;
  /// With the poll_events found. One of them may be `broken`: it stays so, and stop() is what is left to do.
  virtual void on_ready(unsigned events) noexcept = 0;
  /// The loop knows nothing of the descriptor any more: 0 after stop(), -errno when it could not be watched.
  virtual void on_stopped(std::int64_t problem) noexcept = 0;

 private:
  void on_complete(std::int64_t result) noexcept final;

  loop& loop_;
  handle foreign_ = no_handle;
  unsigned events_ = 0;
  bool watching_ = false;
  bool stopping_ = false;
};

}  // namespace sluice::reactor
