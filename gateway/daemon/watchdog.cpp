#include "gateway/daemon/watchdog.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "actors/observe/log.hpp"

namespace sluice::daemon {

/// A loop may run its answer after the watchdog has gone: shared with it.
struct watchdog::pulse {
  std::atomic<bool> asked{false};  // and not yet answered
  bool stands_still = false;
};

watchdog::watchdog(std::vector<reactor::loop*> loops) : loops_(std::move(loops)) {
  for (std::size_t i = 0; i < loops_.size(); ++i) pulses_.push_back(std::make_shared<pulse>());
}

bool watchdog::look() {
  bool all_turn = true;
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    const std::shared_ptr<pulse>& each = pulses_[i];
    if (each->asked.load(std::memory_order_acquire)) {
      all_turn = false;
      if (!std::exchange(each->stands_still, true))
        SLUICE_LOG(error, "gateway", "an event loop stands still", {"reactor", loops_[i]->index()});
      continue;
    }
    if (std::exchange(each->stands_still, false))
      SLUICE_LOG(warning, "gateway", "the event loop goes on", {"reactor", loops_[i]->index()});
    each->asked.store(true, std::memory_order_release);
    loops_[i]->post([each] { each->asked.store(false, std::memory_order_release); });
  }
  return all_turn;
}

std::uint64_t watchdog_period_ns() {
  constexpr std::uint64_t unsupervised = 10 * ns_per_s;
  const auto number = [](const char* name) -> std::uint64_t {
    const char* text = std::getenv(name);
    std::uint64_t value = 0;
    if (text) std::from_chars(text, text + std::strlen(text), value);
    return value;
  };
  const std::uint64_t meant_for = number("WATCHDOG_PID");
  const std::uint64_t allowed_us = number("WATCHDOG_USEC");
  if (allowed_us == 0 || (meant_for != 0 && meant_for != static_cast<std::uint64_t>(::getpid()))) return unsupervised;
  return std::clamp<std::uint64_t>(allowed_us, 2'000, 3'600'000'000) * ns_per_us / 2;
}

}  // namespace sluice::daemon
