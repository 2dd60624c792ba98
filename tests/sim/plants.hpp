#pragma once
#include <memory>
#include <optional>
#include <string_view>

#include "tiers/store/store.hpp"

namespace sluice::sim {

/// Bugs that a scenario can carry on purpose, to see that the oracle sees them.
enum class plant : std::uint8_t { none, lost_write, stale_read, double_completion, reservation_breach };

std::optional<plant> parse_plant(std::string_view name);
const char* to_string(plant p);

/// The registry with every store type wrapped in the bug, for lost_write and stale_read.
store::registry with_plant(const store::registry& healthy, plant bug);

}  // namespace sluice::sim
