#pragma once
#include <time.h>

#include <atomic>
#include <cstdint>

#include "actors/base/bytes.hpp"

namespace sluice::state {

/// Until when a gateway may answer for what it agreed on with others. Any thread.
class lease {
 public:
  static constexpr std::uint64_t for_good = UINT64_MAX;

  /// The clock that leases go by: it runs on while the machine is suspended.
  static std::uint64_t now_ns() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * ns_per_s + static_cast<std::uint64_t>(now.tv_nsec);
  }

  /// Of a gateway with which nobody else has to agree.
  static const lease& of_one_alone() noexcept {
    static const lease held(for_good);
    return held;
  }

  lease() = default;
  bool holds() const noexcept {
    const std::uint64_t until_ns = until_ns_.load(std::memory_order_acquire);
    return until_ns == for_good || now_ns() < until_ns;
  }
  void hold_until(std::uint64_t until_ns) noexcept { until_ns_.store(until_ns, std::memory_order_release); }
  void end() noexcept { until_ns_.store(0, std::memory_order_release); }

 private:
  explicit lease(std::uint64_t until_ns) : until_ns_(until_ns) {}
  std::atomic<std::uint64_t> until_ns_ = 0;
};

}  // namespace sluice::state
