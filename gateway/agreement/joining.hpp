#pragma once
#include <functional>
#include <optional>

#include "gateway/agreement/decide.hpp"
#include "gateway/state/authority.hpp"
#include "gateway/state/state_store.hpp"

namespace sluice::agreement {

/// The name of a unit's record.
std::string record_name(const std::string& unit);

/// What a state directory says of a unit in the former format, where identity, reservations and saved mode pages had a
/// key each; nullopt: nothing. Blocks.
struct former {
  agreed state;                   // its serial is empty when there was none, or it cannot be read
  std::vector<std::string> keys;  // that the record replaces
  std::string damage;             // a sentence, when one of them cannot be read
};
result<std::optional<former>> load_former(state::state_store& kept, const std::string& unit);

/// What a gateway that was alone until now kept of a unit, for the first record of a cluster: its identity, saved mode
/// pages, and reservations that last. nullopt: nothing, or nothing that can be read. Blocks.
std::optional<former> load_alone(state::state_store& kept, const std::string& unit);

/// Reads the record behind `seat`, makes this gateway a member, and begins to watch for it. `done` gets what is agreed
/// from then on. `before`: what to start from when there is no record. `tells` outlives the seat. The caller keeps
/// `seat` until `done` has run, or drops both.
struct joining {
  join how;
  scsi::unit_facts facts;
  std::optional<former> before = {};
  state::watcher* tells = nullptr;
  bool gives_up_damaged = false;  // a record that cannot be read is as good as none
};
void join_unit(state::seat& seat, const joining& wanted, std::function<void(result<agreed>)> done);

}  // namespace sluice::agreement
