#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "actors/base/bytes.hpp"
#include "gateway/scsi/outcome_builders.hpp"
#include "gateway/scsi/unit_facts.hpp"

namespace sluice::scsi {

/// What the device server does: commands that differ only in CDB length share one value.
enum class command : std::uint8_t {
  test_unit_ready,
  request_sense,
  inquiry,
  report_luns,
  mode_select,
  mode_sense,
  start_stop_unit,
  send_diagnostic,
  prevent_allow_medium_removal,
  read_capacity_10,
  read_capacity_16,
  read_defect_data,
  get_lba_status,
  read,
  write,
  verify,
  write_and_verify,
  or_write,
  compare_and_write,
  write_same,
  unmap,
  synchronize_cache,
  pre_fetch,
  reserve,
  release,
  persistent_reserve_in,
  persistent_reserve_out,
  report_target_port_groups,
  set_target_port_groups,
  report_supported_operation_codes,
  report_supported_task_management_functions,
};
inline constexpr std::size_t command_count =
    static_cast<std::size_t>(command::report_supported_task_management_functions) + 1;

enum class data_direction : std::uint8_t { none, in, out };

/// Who may send a command while another nexus holds a persistent reservation [SPC-4 5.12.1, SBC-3 4.17.1]. A registered
/// nexus under a "registrants only" or "all registrants" type, and the holder, may send everything.
enum class reservation_rule : std::uint8_t {
  always,           // never conflicts
  read_like,        // conflicts only with the Exclusive Access types
  write_like,       // conflicts with every type
  start_stop,       // always when START = 1 and POWER CONDITION = 0, else write_like
  prevent_allow,    // always when PREVENT = 0, else write_like
  reserve_release,  // RESERVE and RELEASE: conflict with any persistent registration, unless CRH applies [SPC-4 5.12.3]
  persistent_out,   // the reservation state machine decides
};

/// Whether a command runs in a target port group that is not active [SPC-4 5.15.2.4].
enum class access_rule : std::uint8_t {
  any_state,        // also in standby, unavailable and transitioning
  not_unavailable,  // also in standby
  active,           // active/optimized and active/non-optimized only
};

/// What a pending unit attention does to a command [SAM-5 5.14].
enum class attention_rule : std::uint8_t {
  reports,  // the command ends with the unit attention, which is cleared
  ignores,  // INQUIRY, REPORT LUNS: runs, the unit attention stays
  conveys,  // REQUEST SENSE: runs, carries the unit attention as its data, clears it
};

/// How a command gets along with others on overlapping blocks.
enum class overlap_rule : std::uint8_t {
  none,        // touches no blocks
  shared,      // only reads blocks
  writes,      // writes blocks
  exclusive,   // reads, then writes what depends on that: nothing may come between
  whole_unit,  // concerns blocks it does not name (SYNCHRONIZE CACHE, START STOP UNIT): waits for, but does not hold,
               // others
};

inline constexpr std::int16_t no_service_action = -1;

/// One operation code, or one service action of it.
struct opcode_row {
  command what;
  const char* name;
  std::uint8_t opcode;
  std::int16_t service_action;  // or no_service_action
  std::uint8_t cdb_bytes;
  std::array<std::uint8_t, 16> usage;  // CDB USAGE DATA [SPC-4 6.34.3]: opcode, service action in place, else masks
  data_direction direction;
  reservation_rule reservation;
  bool under_reserve;  // also while another nexus holds RESERVE [SPC-2 5.5.1]
  access_rule access;
  attention_rule attention;
  overlap_rule overlap;
  bool writes_medium;       // refused when the unit is write protected
  bool needs_medium;        // refused when the unit is stopped or its store is gone
  std::uint16_t timeout_s;  // recommended command timeout

  constexpr bool has_service_action() const { return service_action != no_service_action; }
  /// Bits of an octet that may be set: those of the usage mask, and obsolete flags that are ignored.
  std::uint8_t allowed_bits(std::size_t octet) const;
  /// UNMAP exists on thin units only.
  bool supported_by(const unit_facts& unit) const { return unit.thin || what != command::unmap; }
  /// CDB USAGE DATA for `unit`: without WRITE SAME's UNMAP bit when it is not thin.
  std::array<std::uint8_t, 16> usage_by(const unit_facts& unit) const;
};

/// Every row, by ascending opcode, then service action.
std::span<const opcode_row> opcode_table();
/// The rows of one opcode; empty when it is not supported.
std::span<const opcode_row> rows_of(std::uint8_t opcode);
/// The row of an opcode and service action (ignored for opcodes without); null when not supported.
const opcode_row* find_row(std::uint8_t opcode, std::uint16_t service_action);

/// Finds the row of a CDB and holds the CDB against its usage mask: INVALID COMMAND OPERATION CODE, or INVALID FIELD IN
/// CDB with the field's place, for an unknown service action, a reserved bit, NACA, protection information. Total.
or_outcome<const opcode_row*> check_cdb(const_bytes cdb, const unit_facts& unit);

const char* to_string(command c);

}  // namespace sluice::scsi
