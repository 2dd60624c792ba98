#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "actors/reactor/simulated.hpp"
#include "tiers/store/store.hpp"

namespace sluice::sim {

/// Bugs that a scenario can carry on purpose, to see that the oracle sees them.
enum class plant : std::uint8_t {
  none,
  lost_write,
  stale_read,
  double_completion,
  reservation_breach,
  fencing_waits,          // answers to task management, for hosts that stand still
  unsynced_flush,         // GOOD, and nothing is synced
  unflushed_mode_select,  // WCE goes off, and what was acknowledged before is not synced
  forgotten_loss,         // flushes are GOOD after one that failed
  deferred_to_one,        // hosts other than the first hear of no failed flush
  deferred_twice,         // a failed flush is told once more
  forgotten_losses,       // a journal that starts knows the first block only of what its book has put together
};

std::optional<plant> parse_plant(std::string_view name);
const char* to_string(plant p);
/// All names, for people.
std::string plant_names();

/// What forgotten_losses does to a journal that nobody has open, on flash of that path, where its book of lost ranges
/// is full.
void forget_losses(reactor::sim_world& world, const std::string& flash);

/// The registry with every store type wrapped in the bug, for lost_write and stale_read.
store::registry with_plant(const store::registry& healthy, plant bug);

}  // namespace sluice::sim
