#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/runtime/core.hpp"
#include "actors/runtime/pinned_ref.hpp"
#include "config/schema/model.hpp"
#include "gateway/access/unit_endpoint.hpp"
#include "gateway/daemon/medium_tenure.hpp"
#include "gateway/state/authority.hpp"
#include "gateway/state/state_store.hpp"
#include "gateway/unit/coordinator.hpp"
#include "gateway/unit/shard.hpp"

namespace sluice::unit {
class coordinator_actor;
class shard_actor;
class late_link;
}  // namespace sluice::unit
namespace sluice::relay {
class links;
}

namespace sluice::daemon {

/// A logical unit that waits for its start: the coordinator has no actor yet.
struct unit_to_start {
  std::unique_ptr<unit::coordinator> coordinator;
  std::vector<std::unique_ptr<unit::late_link>> links;
  gateway_id gateway = 0;
  bool awaits_predecessor = false;
  const state::lease* term = nullptr;
  relay::links* owners = nullptr;
};

/// A running logical unit: its coordinator, its shards, and the handle by which LUN maps know it. Name, medium, tenure,
/// actors and handle stay; the rest belongs to the control thread.
struct running_unit {
  std::string name;
  std::optional<unit_to_start> to_start;
  scsi::unit_facts facts;
  std::vector<scsi::target_port_group> groups;
  std::shared_ptr<store::store> medium;
  std::unique_ptr<medium_tenure> tenure;  // of a unit that gateways share
  runtime::core* coordinator_core = nullptr;
  runtime::pinned_ref<unit::coordinator_actor> coordinator;
  std::vector<runtime::pinned_ref<unit::shard_actor>> shards;
  std::shared_ptr<access::unit_handle> handle;
  std::uint32_t failures = 0, losses = 0;   // of the medium, that initiators have been warned of
  std::vector<config::store_config> media;  // once it is taken away: its store, and those below
  /// Once it gives its place: who waits for its end. Until it is told of that.
  std::weak_ptr<running_unit> successor;
  bool left = false;  // no nexus reaches it, and the successor knows
};

/// What a unit says about itself, from its configuration and its medium.
scsi::unit_facts facts_of(const config::unit_config& config, const store::properties& medium);

/// Where units of this gateway find what they agree on with others; all outlive them.
struct agreement_parts {
  state::authority& authority;
  state::state_store& state;  // for what was kept in a former format
  gateway_id gateway = 0;
  bool shares = false;             // with other gateways
  relay::links* links = nullptr;   // to them; null: nobody relays
  bool hosts_move = false;         // hosts are told that they may choose the owner
  std::mutex* changing = nullptr;  // with shares: held by whoever changes what runs
};

/// Makes a unit of so many cores, for start_units(). `replaces`: it takes the place of the running unit of its name,
/// which is frozen, and takes over what initiators have reserved. Blocks; control thread.
result<std::shared_ptr<running_unit>> make_unit(const config::unit_config& config, std::shared_ptr<store::store> medium,
                                                std::size_t cores, runtime::core& coordinator_core,
                                                const agreement_parts& agreed, bool replaces);

using unit_list = std::vector<std::shared_ptr<running_unit>>;

/// Starts units on every core: they join what is agreed, side by side. When one fails, none has started. `max_tasks`:
/// that an initiator may have in flight. Control thread.
result<void> start_units(const unit_list& made, const std::vector<runtime::core*>& cores, const runtime::let_run& wait,
                         std::uint32_t max_tasks);

/// As the coordinator's, for a unit that gives its place to another one.
void freeze_unit(const running_unit& unit);
void thaw_unit(const running_unit& unit);

/// A change at a unit's coordinator: runs `change` there and returns when it is in force on every core. Control thread.
result<void> change_unit(running_unit& unit,
                         const std::function<void(unit::coordinator&, unit::coordinator::done)>& change);

/// Changes at the coordinators of many units, side by side.
struct unit_change {
  std::shared_ptr<running_unit> unit;
  std::function<void(unit::coordinator&, unit::coordinator::done)> change;
};
void change_units(const std::vector<unit_change>& all, const std::vector<runtime::core*>& cores,
                  const runtime::let_run& wait);

/// What the media of a unit owe it on all cores. Blocks for a turn of each loop; any thread but a loop's.
unit::medium_debt debt_of(const running_unit& unit, const std::vector<runtime::core*>& cores);
void add(unit::medium_debt& sum, const unit::medium_debt& more);
/// A sentence about a medium that does not answer, "good" otherwise.
std::string health_of(const unit::medium_debt& owed);

/// A unit that is frozen gives its place to one that runs: before the first nexus goes over.
void succeed(running_unit& unit, const std::shared_ptr<running_unit>& successor);
/// Tells the successors of units how far those are that no LUN map names any more, until all are over, for half a
/// second. What is left of it stop_units() does. Blocks; control thread.
void give_places(unit_list leaving, const std::vector<runtime::core*>& cores, const runtime::let_run& wait);

/// How long the end of units may take, when their media have a deadline: for somebody who waits, for the end of the
/// gateway. A medium without one always answers, and is given a minute.
enum class patience : std::uint8_t { at_once, half_a_second, some };
/// Ends units that no LUN map names any more: waits until their nexuses and tasks are gone, then ends their actors.
/// Blocks, but not for ever; control thread. Those whose medium does not give back the requests that it has, or whose
/// initiators do not let go, are returned: they and their stores must be kept, and may be tried again.
unit_list stop_units(unit_list leaving, const std::vector<runtime::core*>& cores, const runtime::let_run& wait,
                     patience how = patience::some);

}  // namespace sluice::daemon
