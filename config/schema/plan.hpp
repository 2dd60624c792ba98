#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "config/schema/model.hpp"

/// The difference between what runs and what a file asks for, as typed steps. Pure: gateway/daemon carries them out.
namespace sluice::config {

enum class action : std::uint8_t {
  change_log,  // gateway.log, gateway.log_level
  add_store,
  change_store,   // keys that its type can change while it runs
  replace_store,  // opened anew, with other settings or over another store
  remove_store,
  resize_store,  // grows only
  add_unit,
  change_unit,   // what it says of itself
  replace_unit,  // goes over to another store, with its name and what initiators have reserved
  remove_unit,
  add_target,     // without access tables, LUNs and ports, which are steps of their own
  change_target,  // open
  remove_target,
  add_access,     // without its own LUNs
  change_access,  // what its fabrics keep there (CHAP); whether it has LUNs of its own
  remove_access,
  map_lun,     // of the target or, with `initiator`, of that access table
  change_lun,  // another unit behind it
  unmap_lun,
  add_port,
  change_port,
  remove_port,
};

const char* to_string(action a);

struct step {
  action what = action::change_log;
  std::string name;       // of the store, unit or port; of the unit for LUNs
  std::string target;     // the target it belongs to, or that it is
  std::string initiator;  // access steps, and LUNs of an access table
  std::uint16_t lun = 0;
  std::string fabric;  // ports: with `name` and `group` the port's identity
  std::uint16_t group = 0;
  std::string text;                // for people: "+ store scratch: ram, 1GiB"
  std::size_t drops_sessions = 0;  // that it ends; whoever carries it out knows
};

/// What cannot be done to a running gateway.
struct refusal {
  std::string key;     // "gateway.reactors"
  std::string reason;  // "2 to 4 needs a restart"
};

/// What is not as the file says, and stays so.
struct warning {
  std::string key;
  std::string text;
};

/// In the order in which they are prepared: what a step needs comes before it.
struct plan {
  std::vector<step> steps;
  std::vector<refusal> refused;  // with any, nothing may be done
  std::vector<warning> warnings;
  bool empty() const { return steps.empty() && refused.empty(); }
};

/// What runs. What is not asked for here is as `file` says.
struct standing {
  const model& file;  // what was applied last
  /// Octets of a store that runs, which commands and others may have resized. Empty: as the file says.
  std::function<std::uint64_t(const std::string& store)> size_of = {};
  /// Whether what the files hold that an access table names has changed since. Empty: it has not.
  std::function<bool(const std::string& target, const access_config& now)> secrets_differ = {};
};

/// Both models are valid. `known` says which keys of a store can change while it runs.
plan make_plan(const standing& from, const model& to, const known_types& known = {});

/// One line for each step, refusal and warning.
std::string to_text(const plan& p);

}  // namespace sluice::config
