#pragma once
#include <cstdint>
#include <vector>

#include "gateway/reservations/types.hpp"
#include "gateway/scsi/cdb.hpp"

namespace sluice::reservations {

/// PERSISTENT RESERVE IN parameter data, uncut [SPC-4 6.15].
std::vector<std::uint8_t> report(scsi::pr_in_action action, const state& now);

}  // namespace sluice::reservations
