#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "actors/reactor/loop.hpp"

namespace sluice::daemon {

/// Watches that the event loops turn: one that stands still is a fault of the program (nothing on a loop may block),
/// and only a restart mends it. The service manager is told so by silence.
class watchdog {
 public:
  /// The loops outlive the watchdog.
  explicit watchdog(std::vector<reactor::loop*> loops);

  /// True when each loop has turned since the last look(). Says in the log which one stands still, and when it goes on.
  /// From one control thread; never waits.
  bool look();

 private:
  struct pulse;
  std::vector<reactor::loop*> loops_;
  std::vector<std::shared_ptr<pulse>> pulses_;
};

/// How often to look and to tell the service manager: half of what it allows ($WATCHDOG_USEC, when it is meant for this
/// process), or ten seconds. In nanoseconds.
std::uint64_t watchdog_period_ns();

}  // namespace sluice::daemon
