#pragma once
#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "gateway/scsi/cdb.hpp"
#include "gateway/scsi/opcode_table.hpp"

/// Commands that tests make up from the rows of the opcode table.
namespace sluice::unit {

/// What a test sends, but for its data.
struct random_command {
  const scsi::opcode_row* row = nullptr;
  std::vector<std::uint8_t> cdb;
  std::uint64_t lba = 0, blocks = 0;  // as the CDB says; 0 when it names no blocks
  scsi::block_command decoded;        // when it does
  std::uint64_t wanted_bytes = 0;     // that it moves, in the direction of its row
  bool forbidden = false;             // a reserved bit is set: it must not be GOOD

  bool names_blocks() const { return has_blocks(row->what); }
  static bool has_blocks(scsi::command what);
  /// Behind the last octet of the LBA, and of the number of blocks.
  std::size_t lba_end() const { return row->cdb_bytes == 6 ? 4 : row->cdb_bytes == 16 ? 10 : 6; }
  std::size_t count_end() const;
};

/// A command of that row with all of its other bits drawn: `lba` and `blocks`, below 256, where it names blocks, of
/// `block_bytes` each; a parameter list of 24 octets where it takes one, as most of those of PERSISTENT RESERVE OUT and
/// UNMAP are; one reserved bit now and then.
random_command make_random_command(std::mt19937_64& chance, const scsi::opcode_row& row, std::uint8_t lba,
                                   std::uint8_t blocks, std::uint32_t block_bytes);

// -- how -------------------------------------------------------------------------------------------------------------

inline bool random_command::has_blocks(scsi::command what) {
  switch (what) {
    case scsi::command::read:
    case scsi::command::write:
    case scsi::command::verify:
    case scsi::command::write_and_verify:
    case scsi::command::or_write:
    case scsi::command::compare_and_write:
    case scsi::command::write_same:
    case scsi::command::pre_fetch:
    case scsi::command::synchronize_cache:
      return true;
    default:
      return false;
  }
}

inline std::size_t random_command::count_end() const {
  if (row->what == scsi::command::compare_and_write) return 14;
  return row->cdb_bytes == 6 ? 5 : row->cdb_bytes == 10 ? 9 : row->cdb_bytes == 12 ? 10 : 14;
}

namespace detail {

inline void set_field(std::vector<std::uint8_t>& cdb, std::size_t first, std::size_t end, std::uint8_t value) {
  for (std::size_t i = first; i < end; ++i) cdb[i] = 0;
  cdb[end - 1] = value;
}

inline void set_blocks(random_command& c, std::uint8_t lba, std::uint8_t blocks) {
  set_field(c.cdb, c.row->cdb_bytes == 6 ? 1 : 2, c.lba_end(), lba);
  const std::size_t count_first = c.row->cdb_bytes == 6                             ? 4
                                  : c.row->what == scsi::command::compare_and_write ? 13
                                  : c.row->cdb_bytes == 10                          ? 7
                                  : c.row->cdb_bytes == 12                          ? 6
                                                                                    : 10;
  set_field(c.cdb, count_first, c.count_end(), blocks);
  c.lba = lba;
}

inline void set_list_length(random_command& c) {
  const std::size_t end = c.row->cdb_bytes == 6 ? 5 : 9;
  set_field(c.cdb, std::min<std::size_t>(end - 1, c.row->what == scsi::command::persistent_reserve_out ? 5 : 7), end,
            24);
}

inline bool set_reserved_bit(random_command& c, std::mt19937_64& chance) {
  const std::size_t octet = 1 + chance() % (c.cdb.size() - 1);
  const auto bit = static_cast<std::uint8_t>(1u << chance() % 8);
  if ((c.row->allowed_bits(octet) & bit) != 0 || c.row->cdb_bytes <= octet + 1) return false;
  c.cdb[octet] |= bit;
  return true;
}

}  // namespace detail

inline random_command make_random_command(std::mt19937_64& chance, const scsi::opcode_row& row, std::uint8_t lba,
                                          std::uint8_t blocks, std::uint32_t block_bytes) {
  random_command c;
  c.row = &row;
  c.cdb.assign(row.cdb_bytes, 0);
  for (std::size_t i = 1; i < c.cdb.size(); ++i) c.cdb[i] = static_cast<std::uint8_t>(chance() & row.usage[i]);
  c.cdb[0] = row.opcode;
  if (row.has_service_action()) c.cdb[1] = static_cast<std::uint8_t>((c.cdb[1] & 0xe0) | row.service_action);
  if (c.names_blocks())
    detail::set_blocks(c, lba, blocks);
  else if (row.direction == scsi::data_direction::out)
    detail::set_list_length(c);
  c.forbidden = chance() % 16 == 0 && detail::set_reserved_bit(c, chance);
  c.wanted_bytes = scsi::parameter_length(row, c.cdb);
  if (c.names_blocks()) {
    if (const auto decoded = scsi::decode_block_command(row, c.cdb)) c.decoded = *decoded;
    c.blocks = c.decoded.blocks;
    c.wanted_bytes = c.decoded.transfer_bytes(block_bytes);
  }
  return c;
}

}  // namespace sluice::unit
