#pragma once
#include <tl/expected.hpp>

#include "gateway/scsi/asc.hpp"

namespace sluice::scsi {

/// A value, or how the command ends instead.
template <class T = void>
using or_outcome = tl::expected<T, outcome>;

/// Builders of every outcome the gateway gives. The only place where keys, codes and flags are put together.
namespace outcomes {

inline outcome plain(status s) {
  return {.status = s, .sense = {}};
}
inline outcome check(sense_key key, additional_sense code) {
  outcome o{.status = status::check_condition, .sense = {}};
  o.sense.key = key;
  o.sense.code = code;
  return o;
}

inline outcome good() {
  return {};
}
inline outcome condition_met() {
  return plain(status::condition_met);
}
inline outcome busy() {
  return plain(status::busy);
}
inline outcome task_set_full() {
  return plain(status::task_set_full);
}
inline outcome task_aborted() {
  return plain(status::task_aborted);
}
inline outcome reservation_conflict() {
  return plain(status::reservation_conflict);
}

inline outcome invalid_opcode() {
  return check(sense_key::illegal_request, asc::invalid_opcode);
}
inline outcome lun_not_supported() {
  return check(sense_key::illegal_request, asc::logical_unit_not_supported);
}
inline outcome parameter_list_length_error() {
  return check(sense_key::illegal_request, asc::parameter_list_length_error);
}
inline outcome saving_not_supported() {
  return check(sense_key::illegal_request, asc::saving_not_supported);
}
inline outcome invalid_release() {
  return check(sense_key::illegal_request, asc::invalid_release);
}
inline outcome insufficient_resources() {
  return check(sense_key::illegal_request, asc::insufficient_resources);
}
inline outcome insufficient_registration_resources() {
  return check(sense_key::illegal_request, asc::insufficient_registration_resources);
}
inline outcome command_sequence_error() {
  return check(sense_key::illegal_request, asc::command_sequence_error);
}

/// `octet` of the CDB; `bit` is the most significant one of the field, 8 when the octet says enough.
outcome invalid_field_in_cdb(std::uint16_t octet, std::uint8_t bit = 8);
/// `octet` of the parameter list.
outcome invalid_field_in_parameter_list(std::uint16_t octet, std::uint8_t bit = 8);
/// `lba`: the first one out of range; it goes into INFORMATION.
outcome lba_out_of_range(std::uint64_t lba);
/// `offset`: octets from the start of the data-out to the first that differs [SBC-3 5.2].
outcome miscompare(std::uint64_t offset);
outcome unrecovered_read_error(std::uint64_t lba);
outcome unrecovered_read_error();
outcome write_error(std::uint64_t lba);
outcome write_error();
/// Data of earlier commands that ended GOOD could not be brought from a volatile cache to the medium [SPC-4 4.5.7].
outcome deferred_write_error();

inline outcome write_protected() {
  return check(sense_key::data_protect, asc::write_protected);
}
/// SWP of the control mode page.
inline outcome software_write_protected() {
  return check(sense_key::data_protect, asc::software_write_protected);
}
/// A thin medium has no room left [SBC-3 4.7.3.7].
inline outcome no_space() {
  return check(sense_key::data_protect, asc::space_allocation_failed);
}

/// [SPC-4 5.6.2]; `code` says why: asc::becoming_ready, asc::initializing_command_required, asc::medium_not_present …
inline outcome not_ready(additional_sense code) {
  return check(sense_key::not_ready, code);
}
inline outcome unit_attention(additional_sense code) {
  return check(sense_key::unit_attention, code);
}
inline outcome hardware_error(additional_sense code = asc::internal_target_failure) {
  return check(sense_key::hardware_error, code);
}
inline outcome medium_removal_prevented() {
  return check(sense_key::illegal_request, asc::removal_prevented);
}
/// ABORTED COMMAND: trying again may help; asc::data_phase_error, asc::logical_unit_timeout, asc::overlapped_commands …
inline outcome aborted(additional_sense code) {
  return check(sense_key::aborted_command, code);
}

}  // namespace outcomes

/// Sense data as it goes over the wire; `descriptor_format` is D_SENSE of the control mode page, or DESC of REQUEST
/// SENSE [SPC-4 4.5.2, 4.5.3]. A 64-bit INFORMATION that fixed format cannot hold is left out there (VALID = 0).
encoded_sense encode(const sense& s, bool descriptor_format);
/// Either format, current or deferred; a default sense (NO SENSE) when the data are too short or of another format.
sense decode_sense(const_bytes data);

}  // namespace sluice::scsi
