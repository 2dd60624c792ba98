#pragma once
#include "gateway/reservations/types.hpp"
#include "gateway/scsi/opcode_table.hpp"

/// Which commands a reservation of somebody else keeps out.
namespace sluice::reservations {

/// What a persistent reservation leaves one nexus: worked out once per nexus and snapshot, so that each command only
/// compares a byte.
enum class allowance : std::uint8_t {
  everything,   // no reservation, the holder, or a registrant under the types that favour registrants
  reads,        // somebody else has a Write Exclusive type
  always_only,  // somebody else has an Exclusive Access type
};
allowance allowance_of(const state& now, const i_t& who);

/// START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL are judged by what they ask for [SPC-4 5.12.1, SBC-3 4.17.1].
scsi::reservation_rule effective_rule(scsi::reservation_rule rule, const_bytes cdb);

/// Whether the command ends with RESERVATION CONFLICT. RESERVE, RELEASE and PERSISTENT RESERVE OUT pass: they decide
/// for themselves.
inline bool conflicts(allowance left, scsi::reservation_rule rule) {
  if (left == allowance::everything) [[likely]]
    return false;
  return rule == scsi::reservation_rule::write_like ||
         (rule == scsi::reservation_rule::read_like && left == allowance::always_only);
}

/// RESERVE(6), RESERVE(10), RELEASE(6), RELEASE(10) of the whole logical unit. `holder` is the id of the I_T nexus with
/// the reservation, 0 for none; it goes with the nexus. Compatible with persistent reservations as CRH = 1 says
/// [SPC-4 5.12.3]. True: GOOD; false: RESERVATION CONFLICT.
bool reserve(const state& persistent, const i_t& who, std::uint64_t nexus, std::uint64_t& holder);
bool release(const state& persistent, const i_t& who, std::uint64_t nexus, std::uint64_t& holder);

}  // namespace sluice::reservations
