#pragma once
#include "gateway/scsi/outcome.hpp"

// clang-format off
/// The one table of additional sense codes: name, value, text for logs [SPC-4 annex F].
#define SLUICE_ADDITIONAL_SENSE_CODES(row)                                                                \
  row(no_additional_sense, 0x0000, "no additional sense information")                                     \
  row(io_process_terminated, 0x0006, "I/O process terminated")                                            \
  row(becoming_ready, 0x0401, "logical unit is in process of becoming ready")                             \
  row(initializing_command_required, 0x0402, "logical unit not ready, initializing command required")     \
  row(manual_intervention_required, 0x0403, "logical unit not ready, manual intervention required")       \
  row(asymmetric_access_transition, 0x040a, "logical unit not accessible, asymmetric access state transition") \
  row(target_port_in_standby, 0x040b, "logical unit not accessible, target port in standby state")        \
  row(target_port_unavailable, 0x040c, "logical unit not accessible, target port in unavailable state")   \
  row(logical_unit_failure, 0x0800, "logical unit communication failure")                                 \
  row(logical_unit_timeout, 0x0801, "logical unit communication time-out")                                \
  row(warning, 0x0b00, "warning")                                                                         \
  row(background_medium_error, 0x0b05, "warning, background medium scan detected medium error")           \
  row(write_error, 0x0c00, "write error")                                                                 \
  row(unexpected_unsolicited_data, 0x0c0c, "write error, unexpected unsolicited data")                    \
  row(not_enough_unsolicited_data, 0x0c0d, "write error, not enough unsolicited data")                    \
  row(invalid_field_in_command_iu, 0x0e03, "invalid field in command information unit")                   \
  row(unrecovered_read_error, 0x1100, "unrecovered read error")                                           \
  row(parameter_list_length_error, 0x1a00, "parameter list length error")                                 \
  row(miscompare_during_verify, 0x1d00, "miscompare during verify operation")                             \
  row(invalid_opcode, 0x2000, "invalid command operation code")                                           \
  row(lba_out_of_range, 0x2100, "logical block address out of range")                                     \
  row(invalid_field_in_cdb, 0x2400, "invalid field in CDB")                                               \
  row(logical_unit_not_supported, 0x2500, "logical unit not supported")                                   \
  row(invalid_field_in_parameter_list, 0x2600, "invalid field in parameter list")                         \
  row(invalid_release, 0x2604, "invalid release of persistent reservation")                               \
  row(write_protected, 0x2700, "write protected")                                                         \
  row(software_write_protected, 0x2702, "logical unit software write protected")                          \
  row(space_allocation_failed, 0x2707, "space allocation failed write protect")                           \
  row(medium_may_have_changed, 0x2800, "not ready to ready change, medium may have changed")              \
  row(reset_occurred, 0x2900, "power on, reset, or bus device reset occurred")                            \
  row(power_on_occurred, 0x2901, "power on occurred")                                                     \
  row(bus_device_reset, 0x2903, "bus device reset function occurred")                                     \
  row(i_t_nexus_loss, 0x2907, "I_T nexus loss occurred")                                                  \
  row(mode_parameters_changed, 0x2a01, "mode parameters changed")                                         \
  row(reservations_preempted, 0x2a03, "reservations preempted")                                           \
  row(reservations_released, 0x2a04, "reservations released")                                             \
  row(registrations_preempted, 0x2a05, "registrations preempted")                                         \
  row(asymmetric_access_changed, 0x2a06, "asymmetric access state changed")                               \
  row(capacity_changed, 0x2a09, "capacity data has changed")                                              \
  row(command_sequence_error, 0x2c00, "command sequence error")                                           \
  row(commands_cleared, 0x2f00, "commands cleared by another initiator")                                  \
  row(threshold_condition, 0x3807, "thin provisioning soft threshold reached")                            \
  row(saving_not_supported, 0x3900, "saving parameters not supported")                                    \
  row(medium_not_present, 0x3a00, "medium not present")                                                   \
  row(inquiry_data_changed, 0x3f03, "INQUIRY data has changed")                                           \
  row(reported_luns_changed, 0x3f0e, "reported LUNs data has changed")                                    \
  row(internal_target_failure, 0x4400, "internal target failure")                                         \
  row(protocol_service_crc_error, 0x4705, "protocol service CRC error")                                   \
  row(initiator_detected_error, 0x4800, "initiator detected error message received")                      \
  row(invalid_message, 0x4900, "invalid message error")                                                   \
  row(data_phase_error, 0x4b00, "data phase error")                                                       \
  row(initiator_response_timeout, 0x4b06, "initiator response timeout")                                   \
  row(overlapped_commands, 0x4e00, "overlapped commands attempted")                                       \
  row(removal_prevented, 0x5302, "medium removal prevented")                                              \
  row(insufficient_resources, 0x5503, "insufficient resources")                                           \
  row(insufficient_registration_resources, 0x5504, "insufficient registration resources")                 \
  row(set_target_port_groups_failed, 0x670a, "set target port groups command failed")
// clang-format on

namespace sluice::scsi {

namespace asc {
#define SLUICE_ROW(name, value, text) inline constexpr additional_sense name = value;
SLUICE_ADDITIONAL_SENSE_CODES(SLUICE_ROW)
#undef SLUICE_ROW
}  // namespace asc

/// The text of a code for logs; "unknown additional sense code" for one that is not in the table.
const char* to_string(additional_sense code);
const char* to_string(sense_key key);
const char* to_string(status s);

}  // namespace sluice::scsi
