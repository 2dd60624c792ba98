#include "tiers/fault/fault_control.hpp"

#include <utility>

namespace sluice::fault {

void fault_control::order(store::verb what, std::uint32_t count, verdict v) noexcept {
  const std::uint64_t packed = count == 0 ? 0
                                          : std::uint64_t{count} << 32 | static_cast<std::uint64_t>(v.what) << 8 |
                                                static_cast<std::uint64_t>(v.outcome);
  orders_[static_cast<std::size_t>(what)].store(packed, std::memory_order_release);
}

verdict fault_control::take_order(store::verb what) noexcept {
  auto& ordered = orders_[static_cast<std::size_t>(what)];
  std::uint64_t packed = ordered.load(std::memory_order_acquire);
  while (packed != 0) {
    const std::uint64_t count = packed >> 32;
    const std::uint64_t less = count == 1 ? 0 : packed - (std::uint64_t{1} << 32);
    if (!ordered.compare_exchange_weak(packed, less, std::memory_order_acq_rel)) continue;
    return {static_cast<effect>(packed >> 8 & 0xff), static_cast<store::status>(packed & 0xff)};
  }
  return {};
}

void fault_control::release() {
  const std::lock_guard lock(guard_);
  stalled_.store(false, std::memory_order_release);
  for (const auto& [channel, to] : attached_) to.loop->post(to.go_on);
}

void fault_control::attach(const void* channel, reactor::loop& loop, std::function<void()> go_on) {
  const std::lock_guard lock(guard_);
  attached_.emplace(channel, attached{&loop, std::move(go_on)});
}

void fault_control::detach(const void* channel) {
  const std::lock_guard lock(guard_);
  attached_.erase(channel);
}

}  // namespace sluice::fault
