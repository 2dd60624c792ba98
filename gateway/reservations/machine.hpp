#pragma once
#include <vector>

#include "gateway/reservations/types.hpp"

namespace sluice::reservations {

/// Does a PERSISTENT RESERVE OUT of nexus `who`. `target_ports` are the relative target port identifiers of the target
/// device, for ALL_TG_PT, SPEC_I_PT and REGISTER AND MOVE. The state stays as it was unless the verdict is good.
effects execute(state& now, const i_t& who, const request& asked, const std::vector<std::uint16_t>& target_ports);

/// Removes every registration and reservation on the operator's word; everybody hears RESERVATIONS PREEMPTED.
effects clear_by_operator(state& now);

}  // namespace sluice::reservations
