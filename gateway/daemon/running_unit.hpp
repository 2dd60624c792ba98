#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/schema/model.hpp"
#include "gateway/access/unit_door.hpp"
#include "gateway/state/authority.hpp"
#include "gateway/state/state_store.hpp"
#include "gateway/unit/unit_actor.hpp"

namespace sluice::daemon {

/// A running logical unit: its home, its shards, and the handle by which LUN maps know it.
struct running_unit {
  config::unit_config config;
  scsi::unit_facts facts;
  std::vector<scsi::target_port_group> groups;
  std::shared_ptr<store::store> medium;
  runtime::core* home_core = nullptr;
  runtime::pinned_ref<unit::home_actor> home;
  std::vector<runtime::pinned_ref<unit::shard_actor>> shards;
  std::shared_ptr<access::unit_handle> handle;
  std::uint32_t failures = 0, losses = 0;  // of the medium, that initiators have been warned of
};

/// What a unit says about itself, from its configuration and its medium.
scsi::unit_facts facts_of(const config::unit_config& config, const store::properties& medium);

/// Where units of this gateway find what they agree on with others; all outlive them.
struct agreement_parts {
  state::authority& authority;
  state::state_store& state;  // for what was kept in a former format
  gateway_id gateway = 0;
};

/// Starts a unit on every core. `replaces`: it takes the place of the running unit of its name, which is frozen, and
/// takes over what initiators have reserved persistently. Blocks; control thread.
result<running_unit> start_unit(const config::unit_config& config, std::shared_ptr<store::store> medium,
                                const std::vector<runtime::core*>& cores, runtime::core& home_core,
                                const agreement_parts& agreed, bool replaces);

/// As the home's, for a unit that gives its place to another one.
void freeze_unit(const running_unit& unit);
void thaw_unit(const running_unit& unit);

/// A change at a unit's home: runs `change` there and returns when it is in force on every core. Control thread.
result<void> change_unit(running_unit& unit, const std::function<void(unit::home&, unit::home::done)>& change);

/// Ends a unit that no LUN map names any more: waits until its nexuses and tasks are gone, then ends its actors.
/// Blocks; control thread. False when the medium, one with a deadline, does not give back the requests that it has
/// until `give_up_at_ns`, by the loops' clock: the unit and its store must then be kept.
bool stop_unit(running_unit& unit, const std::vector<runtime::core*>& cores, const runtime::let_run& wait,
               std::uint64_t give_up_at_ns);
/// For how long a medium that does not answer holds up the end of its unit.
inline constexpr std::uint64_t medium_patience_ns = 8 * ns_per_s;

}  // namespace sluice::daemon
