#pragma once
#include <cstdint>
#include <optional>

#include "actors/base/bytes.hpp"
#include "gateway/scsi/opcode_table.hpp"

/// CDBs as values. Each decoder takes the row that check_cdb() found, and a CDB of at least row.cdb_bytes octets (a
/// shorter one reads as padded with zeroes).
namespace sluice::scsi {

/// READ, WRITE, VERIFY, WRITE AND VERIFY, ORWRITE, COMPARE AND WRITE, WRITE SAME, SYNCHRONIZE CACHE, PRE-FETCH of any
/// length.
struct block_command {
  command what = command::read;
  std::uint64_t lba = 0;
  /// Blocks on the medium. 0 means none, except for WRITE SAME, SYNCHRONIZE CACHE and PRE-FETCH: up to the last block.
  std::uint64_t blocks = 0;
  bool dpo = false;
  bool fua = false;
  bool immed = false;
  bool unmap = false;           // WRITE SAME
  bool ndob = false;            // WRITE SAME(16): no data-out, the pattern is zeroes
  std::uint8_t byte_check = 0;  // VERIFY, WRITE AND VERIFY: 0 medium only, 1 data-out per block, 3 one block for all
  std::uint8_t group = 0;
  std::uint8_t length_byte = 0;  // where the CDB has its length, for a field pointer

  bool zero_means_to_the_end() const {
    return what == command::write_same || what == command::synchronize_cache || what == command::pre_fetch;
  }
  /// Octets that the command moves over the fabric (in the direction of its row).
  std::uint64_t transfer_bytes(std::uint32_t block_size) const;
};
/// Refuses BYTCHK = 10b, and 11b where only VERIFY has it [SBC-3 5.32, 5.39].
or_outcome<block_command> decode_block_command(const opcode_row& row, const_bytes cdb);
/// Where a READ of any length begins, before anything else is known of it; nullopt for other commands.
std::optional<std::uint64_t> lba_of_read(const_bytes cdb) noexcept;

/// Replaces "up to the last block" by the number, and refuses what does not lie within the unit (an LBA equal to the
/// capacity passes only with no blocks to touch) or is longer than VPD page B0h allows.
or_outcome<> fit_to_unit(block_command& command, const unit_facts& unit);

/// The allocation length (data-in) or parameter list length (data-out) of commands that are not block commands; 0 when
/// the row has none.
std::uint32_t parameter_length(const opcode_row& row, const_bytes cdb);

struct inquiry_cdb {
  bool vital_product_data = false;
  std::uint8_t page = 0;
  std::uint16_t allocation = 0;
};
/// A page code without EVPD is refused [SPC-4 6.6.1].
or_outcome<inquiry_cdb> decode_inquiry(const_bytes cdb);

struct request_sense_cdb {
  bool descriptor = false;
  std::uint8_t allocation = 0;
};
request_sense_cdb decode_request_sense(const_bytes cdb);

struct mode_sense_cdb {
  bool ten = false;                   // MODE SENSE(10): 8-octet header
  bool no_block_descriptors = false;  // DBD
  bool long_lba = false;              // LLBAA
  std::uint8_t page_control = 0;      // 0 current, 1 changeable, 2 default, 3 saved
  std::uint8_t page = 0;
  std::uint8_t subpage = 0;
  std::uint16_t allocation = 0;
};
mode_sense_cdb decode_mode_sense(const opcode_row& row, const_bytes cdb);

struct mode_select_cdb {
  bool ten = false;
  bool page_format = false;  // PF
  bool save = false;         // SP
  std::uint16_t list_length = 0;
};
mode_select_cdb decode_mode_select(const opcode_row& row, const_bytes cdb);

struct start_stop_cdb {
  bool immed = false;
  std::uint8_t power_condition_modifier = 0;
  std::uint8_t power_condition = 0;
  bool no_flush = false;
  bool load_eject = false;
  bool start = false;
};
start_stop_cdb decode_start_stop(const_bytes cdb);

/// PREVENT ALLOW MEDIUM REMOVAL: true when removal is to be prevented.
bool decode_prevent(const_bytes cdb);

struct get_lba_status_cdb {
  std::uint64_t lba = 0;
  std::uint32_t allocation = 0;
};
get_lba_status_cdb decode_get_lba_status(const_bytes cdb);

struct unmap_cdb {
  std::uint8_t group = 0;
  std::uint16_t list_length = 0;
};
unmap_cdb decode_unmap(const_bytes cdb);

struct report_luns_cdb {
  std::uint8_t select_report = 0;
  std::uint32_t allocation = 0;
};
/// Refuses a SELECT REPORT that is not 00h, 01h, 02h, and an allocation length under 16 [SPC-4 6.33].
or_outcome<report_luns_cdb> decode_report_luns(const_bytes cdb);

struct report_opcodes_cdb {
  bool timeouts = false;     // RCTD
  std::uint8_t options = 0;  // 0 all, 1 one opcode, 2 one service action, 3 one of either
  std::uint8_t opcode = 0;
  std::uint16_t service_action = 0;
  std::uint32_t allocation = 0;
};
report_opcodes_cdb decode_report_opcodes(const_bytes cdb);

struct report_functions_cdb {
  bool extended = false;  // REPD
  std::uint32_t allocation = 0;
};
report_functions_cdb decode_report_functions(const_bytes cdb);

struct report_groups_cdb {
  bool extended_header = false;  // PARAMETER DATA FORMAT = 001b
  std::uint32_t allocation = 0;
};
/// Refuses other data formats [SPC-4 6.37].
or_outcome<report_groups_cdb> decode_report_groups(const_bytes cdb);

/// [SPC-4 6.15.1]
enum class pr_in_action : std::uint8_t {
  read_keys = 0,
  read_reservation = 1,
  report_capabilities = 2,
  read_full_status = 3
};
/// [SPC-4 6.16.2]
enum class pr_out_action : std::uint8_t {
  register_key = 0,  // REGISTER
  reserve = 1,
  release = 2,
  clear = 3,
  preempt = 4,
  preempt_and_abort = 5,
  register_and_ignore_existing_key = 6,
  register_and_move = 7,
};
struct pr_in_cdb {
  pr_in_action action = pr_in_action::read_keys;
  std::uint16_t allocation = 0;
};
pr_in_cdb decode_pr_in(const_bytes cdb);
struct pr_out_cdb {
  pr_out_action action = pr_out_action::register_key;
  std::uint8_t scope = 0;
  std::uint8_t type = 0;
  std::uint32_t list_length = 0;
};
pr_out_cdb decode_pr_out(const_bytes cdb);

}  // namespace sluice::scsi
