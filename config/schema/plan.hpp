#pragma once
#include <string>
#include <vector>

#include "config/schema/model.hpp"

/// The difference between what runs and what a file asks for, as steps. Pure.
namespace sluice::config {

enum class action : std::uint8_t {
  add_store,
  resize_store,  // grows only
  change_store,  // keys that its type can change while it runs
  remove_store,
  add_unit,
  change_unit,  // thin, read_only
  remove_unit,
  add_target,     // without access tables, LUNs and ports, which are steps of their own
  change_target,  // open
  remove_target,
  add_access,     // without its own LUNs
  change_access,  // CHAP; whether it has LUNs of its own
  remove_access,
  map_lun,  // of the target or, with `initiator`, of that access table
  unmap_lun,
  add_port,
  remove_port,
  change_log,  // gateway.log, gateway.log_level
};

const char* to_string(action a);

struct step {
  action what;
  std::string name;       // of the store, unit or port; of the unit for map_lun and unmap_lun
  std::string target;     // the target it belongs to, or that it is
  std::string initiator;  // access steps, and LUNs of an access table
  std::uint16_t lun = 0;
  std::string fabric;  // ports: with `target`, `name` and `group` the port's identity
  std::uint16_t group = 0;
  std::string text;  // for people: "+ store scratch: ram, 1GiB"
};

/// What cannot be done to a running gateway.
struct refusal {
  std::string key;     // "gateway.reactors"
  std::string reason;  // "2 to 4 needs a restart"
};

/// Carried out in order, each step meets what it needs: a store before the unit over it, access tables before what
/// would let everybody in, ports last. Stores that are new and lie over nothing old come first, because opening them
/// may fail and disturbs nobody. What changes beyond what its `change_` step allows is removed and added again.
struct plan {
  std::vector<step> steps;
  std::vector<refusal> refused;  // with any, nothing may be done
  bool empty() const { return steps.empty() && refused.empty(); }
};

/// Both models are valid. `known` says which keys of a store can change while it runs.
plan make_plan(const model& from, const model& to, const known_types& known = {});

/// What `running` is after a step of make_plan(…, to). A step that failed is undone together with those before it by
/// make_plan(running, the model before).
void apply_step(model& running, const step& s, const model& to);

/// One line for each step and refusal.
std::string to_text(const plan& p);

}  // namespace sluice::config
