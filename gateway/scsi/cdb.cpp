#include "gateway/scsi/cdb.hpp"

#include <algorithm>
#include <array>

#include "actors/wire/big_endian.hpp"

namespace sluice::scsi {
namespace {

/// A CDB padded with zeroes to the longest length, so that every field can be read.
struct padded {
  std::array<std::uint8_t, 16> octets{};
  explicit padded(const_bytes cdb) { std::copy_n(cdb.begin(), std::min(cdb.size(), octets.size()), octets.begin()); }
  std::uint8_t at(std::size_t i) const { return octets[i]; }
  bool flag(std::size_t i, unsigned bit) const { return (octets[i] >> bit & 1) != 0; }
  std::uint16_t u16(std::size_t i) const { return wire::load16(octets, i); }
  std::uint32_t u24(std::size_t i) const { return wire::load24(octets, i); }
  std::uint32_t u32(std::size_t i) const { return wire::load32(octets, i); }
  std::uint64_t u64(std::size_t i) const { return wire::load64(octets, i); }
};

/// LBA, length and group by CDB length [SPC-4 4.3.4].
void decode_place(block_command& b, const padded& cdb, std::size_t octets) {
  switch (octets) {
    case 6:
      b.lba = cdb.u24(1) & 0x1fffff;
      b.blocks = cdb.at(4) == 0 ? 256 : cdb.at(4);
      b.length_byte = 4;
      return;
    case 10:
      b.lba = cdb.u32(2);
      b.group = cdb.at(6) & 0x1f;
      b.blocks = cdb.u16(7);
      b.length_byte = 7;
      return;
    case 12:
      b.lba = cdb.u32(2);
      b.blocks = cdb.u32(6);
      b.group = cdb.at(10) & 0x1f;
      b.length_byte = 6;
      return;
    default:
      b.lba = cdb.u64(2);
      b.group = cdb.at(14) & 0x1f;
      b.length_byte = b.what == command::compare_and_write ? 13 : 10;
      b.blocks = b.what == command::compare_and_write ? cdb.at(13) : cdb.u32(10);
  }
}

void decode_flags(block_command& b, const padded& cdb) {
  switch (b.what) {
    case command::read:
    case command::write:
    case command::or_write:
    case command::compare_and_write:
      b.dpo = cdb.flag(1, 4);
      b.fua = cdb.flag(1, 3);
      return;
    case command::verify:
    case command::write_and_verify:
      b.dpo = cdb.flag(1, 4);
      b.byte_check = cdb.at(1) >> 1 & 3;
      return;
    case command::write_same:
      b.unmap = cdb.flag(1, 3);
      b.ndob = cdb.flag(1, 0);  // WRITE SAME(10) has it reserved: check_cdb() refuses it there
      return;
    case command::synchronize_cache:
    case command::pre_fetch:
      b.immed = cdb.flag(1, 1);
      return;
    default:
      return;
  }
}

std::uint64_t max_blocks(const block_command& b, const unit_facts& unit) {
  switch (b.what) {
    case command::write_same:
      return unit.max_write_same_blocks;
    case command::compare_and_write:
      return unit.max_compare_and_write_blocks;
    case command::synchronize_cache:
    case command::pre_fetch:
      return 0;
    default:
      return unit.max_blocks;
  }
}

}  // namespace

std::uint64_t block_command::transfer_bytes(std::uint32_t block_size) const {
  switch (what) {
    case command::read:
    case command::write:
    case command::or_write:
    case command::write_and_verify:
      return blocks * block_size;
    case command::compare_and_write:
      return 2 * blocks * block_size;
    case command::write_same:
      return ndob ? 0 : block_size;
    case command::verify:
      if (byte_check == 0) return 0;
      return byte_check == 3 ? std::min<std::uint64_t>(blocks, 1) * block_size : blocks * block_size;
    default:
      return 0;
  }
}

std::optional<std::uint64_t> lba_of_read(const_bytes cdb) noexcept {
  constexpr std::uint8_t read_6 = 0x08, read_10 = 0x28, read_12 = 0xa8, read_16 = 0x88;
  if (cdb.size() < 6) return std::nullopt;
  if (cdb[0] == read_6) return wire::load24(cdb, 1) & 0x1fffff;
  if (cdb.size() < 10) return std::nullopt;
  if (cdb[0] == read_10 || cdb[0] == read_12) return wire::load32(cdb, 2);
  if (cdb[0] == read_16) return wire::load64(cdb, 2);
  return std::nullopt;
}

or_outcome<block_command> decode_block_command(const opcode_row& row, const_bytes cdb) {
  const padded from(cdb);
  block_command b{.what = row.what};
  decode_place(b, from, row.cdb_bytes);
  if (row.cdb_bytes > 6) decode_flags(b, from);
  if (b.byte_check == 2 || (b.byte_check == 3 && b.what == command::write_and_verify))
    return tl::unexpected(outcomes::invalid_field_in_cdb(1, 2));
  return b;
}

or_outcome<> fit_to_unit(block_command& b, const unit_facts& unit) {
  const bool to_the_end = b.blocks == 0 && b.zero_means_to_the_end();
  const std::uint64_t capacity = unit.capacity_blocks;
  if (b.lba > capacity || (to_the_end && b.lba == capacity) || b.blocks > capacity - b.lba)
    return tl::unexpected(outcomes::lba_out_of_range(std::max(b.lba, capacity)));
  if (to_the_end) {
    if (b.what == command::write_same && unit.write_same_needs_length)
      return tl::unexpected(outcomes::invalid_field_in_cdb(b.length_byte, 7));
    b.blocks = capacity - b.lba;
  }
  const std::uint64_t most = max_blocks(b, unit);
  if (most != 0 && b.blocks > most) return tl::unexpected(outcomes::invalid_field_in_cdb(b.length_byte, 7));
  return {};
}

std::uint32_t parameter_length(const opcode_row& row, const_bytes cdb) {
  const padded from(cdb);
  switch (row.what) {
    case command::inquiry:
      return from.u16(3);
    case command::request_sense:
      return from.at(4);
    case command::mode_sense:
    case command::mode_select:
      return row.cdb_bytes == 6 ? from.at(4) : from.u16(7);
    case command::unmap:
    case command::persistent_reserve_in:
      return from.u16(7);
    case command::persistent_reserve_out:
      return from.u32(5);
    case command::read_capacity_10:
      return 8;  // has no allocation length
    case command::read_capacity_16:
    case command::get_lba_status:
      return from.u32(10);
    case command::read_defect_data:
      return row.cdb_bytes == 10 ? from.u16(7) : from.u32(6);
    case command::report_luns:
    case command::report_target_port_groups:
    case command::set_target_port_groups:
    case command::report_supported_operation_codes:
    case command::report_supported_task_management_functions:
      return from.u32(6);
    default:
      return 0;
  }
}

or_outcome<inquiry_cdb> decode_inquiry(const_bytes cdb) {
  const padded from(cdb);
  const inquiry_cdb c{.vital_product_data = from.flag(1, 0), .page = from.at(2), .allocation = from.u16(3)};
  if (!c.vital_product_data && c.page != 0) return tl::unexpected(outcomes::invalid_field_in_cdb(2, 7));
  return c;
}

request_sense_cdb decode_request_sense(const_bytes cdb) {
  const padded from(cdb);
  return {.descriptor = from.flag(1, 0), .allocation = from.at(4)};
}

mode_sense_cdb decode_mode_sense(const opcode_row& row, const_bytes cdb) {
  const padded from(cdb);
  const bool ten = row.cdb_bytes == 10;
  return {.ten = ten,
          .no_block_descriptors = from.flag(1, 3),
          .long_lba = ten && from.flag(1, 4),
          .page_control = static_cast<std::uint8_t>(from.at(2) >> 6),
          .page = static_cast<std::uint8_t>(from.at(2) & 0x3f),
          .subpage = from.at(3),
          .allocation = ten ? from.u16(7) : std::uint16_t{from.at(4)}};
}

mode_select_cdb decode_mode_select(const opcode_row& row, const_bytes cdb) {
  const padded from(cdb);
  const bool ten = row.cdb_bytes == 10;
  return {.ten = ten,
          .page_format = from.flag(1, 4),
          .save = from.flag(1, 0),
          .list_length = ten ? from.u16(7) : std::uint16_t{from.at(4)}};
}

start_stop_cdb decode_start_stop(const_bytes cdb) {
  const padded from(cdb);
  return {.immed = from.flag(1, 0),
          .power_condition_modifier = static_cast<std::uint8_t>(from.at(3) & 0x0f),
          .power_condition = static_cast<std::uint8_t>(from.at(4) >> 4),
          .no_flush = from.flag(4, 2),
          .load_eject = from.flag(4, 1),
          .start = from.flag(4, 0)};
}

bool decode_prevent(const_bytes cdb) {
  return padded(cdb).flag(4, 0);
}

get_lba_status_cdb decode_get_lba_status(const_bytes cdb) {
  const padded from(cdb);
  return {.lba = from.u64(2), .allocation = from.u32(10)};
}

unmap_cdb decode_unmap(const_bytes cdb) {
  const padded from(cdb);
  return {.group = static_cast<std::uint8_t>(from.at(6) & 0x1f), .list_length = from.u16(7)};
}

or_outcome<report_luns_cdb> decode_report_luns(const_bytes cdb) {
  const padded from(cdb);
  const report_luns_cdb c{.select_report = from.at(2), .allocation = from.u32(6)};
  if (c.select_report > 2) return tl::unexpected(outcomes::invalid_field_in_cdb(2, 7));
  return c;
}

report_opcodes_cdb decode_report_opcodes(const_bytes cdb) {
  const padded from(cdb);
  return {.timeouts = from.flag(2, 7),
          .options = static_cast<std::uint8_t>(from.at(2) & 7),
          .opcode = from.at(3),
          .service_action = from.u16(4),
          .allocation = from.u32(6)};
}

report_functions_cdb decode_report_functions(const_bytes cdb) {
  const padded from(cdb);
  return {.extended = from.flag(2, 7), .allocation = from.u32(6)};
}

or_outcome<report_groups_cdb> decode_report_groups(const_bytes cdb) {
  const padded from(cdb);
  const unsigned format = from.at(1) >> 5;
  if (format > 1) return tl::unexpected(outcomes::invalid_field_in_cdb(1, 7));
  return report_groups_cdb{.extended_header = format == 1, .allocation = from.u32(6)};
}

pr_in_cdb decode_pr_in(const_bytes cdb) {
  const padded from(cdb);
  return {.action = static_cast<pr_in_action>(from.at(1) & 0x1f), .allocation = from.u16(7)};
}

pr_out_cdb decode_pr_out(const_bytes cdb) {
  const padded from(cdb);
  return {.action = static_cast<pr_out_action>(from.at(1) & 0x1f),
          .scope = static_cast<std::uint8_t>(from.at(2) >> 4),
          .type = static_cast<std::uint8_t>(from.at(2) & 0x0f),
          .list_length = from.u32(5)};
}

}  // namespace sluice::scsi
