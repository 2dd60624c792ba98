#include "gateway/daemon/load_watch.hpp"

#include <utility>

namespace sluice::daemon {

std::optional<gateway_id> load_watch::look(const std::map<gateway_id, std::uint64_t>& came_by, gateway_id own) {
  const auto before = std::exchange(before_, came_by);
  std::uint64_t all = 0, most = 0;
  gateway_id by = own;
  for (const auto& [gateway, now] : came_by) {
    const auto then = before.find(gateway);
    const std::uint64_t in_period = then == before.end() || then->second > now ? 0 : now - then->second;
    all += in_period;
    if (in_period <= most) continue;
    most = in_period;
    by = gateway;
  }
  if (by == own || all < min_commands || most * 100 < all * share_percent) by = 0;
  in_a_row_ = by != 0 && by == by_ ? in_a_row_ + 1 : by != 0 ? 1 : 0;
  by_ = by;
  if (in_a_row_ < periods) return std::nullopt;
  in_a_row_ = 0;
  return by;
}

}  // namespace sluice::daemon
