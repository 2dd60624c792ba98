#pragma once
#include <string>
#include <vector>

#include "config/schema/model.hpp"
#include "gateway/daemon/running.hpp"
#include "gateway/state/state_store.hpp"

namespace sluice::daemon {

/// Whether initiators may have met a unit of that name: something is kept of it, or that cannot be read.
bool is_known(state::state_store& state, const std::string& unit);

/// A configuration without what a start cannot have, and the units that it lacks.
struct smaller_model {
  config::model model;
  std::vector<absent_unit> absent;
};

/// Leaves out the store or the unit that a step of an apply named in its refusal ("store.disk: …", "unit.vm: …"), all
/// that lies over that store, and what nobody uses then. errc::not_found when the sentence names neither;
/// errc::invalid_argument when a unit is concerned that nobody knows, or none at all: that is a mistake in the
/// configuration, for who begins with it to see.
result<smaller_model> leave_out(const config::model& wanted, const std::string& refusal, state::state_store& state);

}  // namespace sluice::daemon
