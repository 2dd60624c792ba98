#include "gateway/scsi/opcode_table.hpp"

#include <algorithm>
#include <bit>

namespace sluice::scsi {
namespace {

/// Rows share a shape: what they differ in is said once per family.
struct manner {
  data_direction direction = data_direction::none;
  reservation_rule reservation = reservation_rule::write_like;
  bool under_reserve = false;
  access_rule access = access_rule::active;
  attention_rule attention = attention_rule::reports;
  overlap_rule overlap = overlap_rule::none;
  bool writes_medium = false;
  bool needs_medium = false;
  std::uint16_t timeout_s = 30;
};

using usage_mask = std::array<std::uint8_t, 16>;

constexpr opcode_row make(command what, const char* name, std::int16_t service_action, std::uint8_t octets,
                          const usage_mask& usage, const manner& m) {
  return {.what = what,
          .name = name,
          .opcode = usage[0],
          .service_action = service_action,
          .cdb_bytes = octets,
          .usage = usage,
          .direction = m.direction,
          .reservation = m.reservation,
          .under_reserve = m.under_reserve,
          .access = m.access,
          .attention = m.attention,
          .overlap = m.overlap,
          .writes_medium = m.writes_medium,
          .needs_medium = m.needs_medium,
          .timeout_s = m.timeout_s};
}
constexpr opcode_row plain(command what, const char* name, std::uint8_t octets, const usage_mask& usage,
                           const manner& m) {
  return make(what, name, no_service_action, octets, usage, m);
}
/// The service action stands in bits 4-0 of octet 1.
constexpr opcode_row action(command what, const char* name, std::uint8_t octets, const usage_mask& usage,
                            const manner& m) {
  return make(what, name, usage[1] & 0x1f, octets, usage, m);
}

using enum data_direction;
using rr = reservation_rule;

constexpr manner about_device = {.direction = in,
                                 .reservation = rr::always,
                                 .under_reserve = true,
                                 .access = access_rule::any_state,
                                 .attention = attention_rule::ignores,
                                 .timeout_s = 10};
constexpr manner sense_of_device = {.direction = in,
                                    .reservation = rr::always,
                                    .under_reserve = true,
                                    .access = access_rule::any_state,
                                    .attention = attention_rule::conveys,
                                    .timeout_s = 10};
constexpr manner about_groups = {.direction = in,
                                 .reservation = rr::always,
                                 .under_reserve = true,
                                 .access = access_rule::any_state,
                                 .timeout_s = 10};
constexpr manner change_groups = {.direction = out, .access = access_rule::any_state, .timeout_s = 60};
constexpr manner readiness = {.reservation = rr::always, .needs_medium = true, .timeout_s = 10};
constexpr manner settings_in = {
    .direction = in, .reservation = rr::read_like, .access = access_rule::not_unavailable, .timeout_s = 10};
constexpr manner settings_out = {.direction = out, .access = access_rule::not_unavailable, .timeout_s = 30};
constexpr manner self_test = {.access = access_rule::not_unavailable, .timeout_s = 60};
constexpr manner capacity = {
    .direction = in, .reservation = rr::always, .under_reserve = true, .needs_medium = true, .timeout_s = 10};
constexpr manner block_read = {
    .direction = in, .reservation = rr::read_like, .overlap = overlap_rule::shared, .needs_medium = true};
constexpr manner block_prefetch = {.reservation = rr::read_like, .overlap = overlap_rule::shared, .needs_medium = true};
constexpr manner block_verify = {
    .direction = out, .reservation = rr::read_like, .overlap = overlap_rule::shared, .needs_medium = true};
constexpr manner defects = {.direction = in, .reservation = rr::read_like, .needs_medium = true};
constexpr manner block_write = {
    .direction = out, .overlap = overlap_rule::writes, .writes_medium = true, .needs_medium = true};
constexpr manner block_update = {
    .direction = out, .overlap = overlap_rule::exclusive, .writes_medium = true, .needs_medium = true};
constexpr manner block_fill = {
    .direction = out, .overlap = overlap_rule::writes, .writes_medium = true, .needs_medium = true, .timeout_s = 120};
constexpr manner cache_flush = {.overlap = overlap_rule::whole_unit, .needs_medium = true, .timeout_s = 120};
constexpr manner start_stop = {.reservation = rr::start_stop, .overlap = overlap_rule::whole_unit, .timeout_s = 120};
constexpr manner prevent_allow = {.reservation = rr::prevent_allow, .timeout_s = 10};
constexpr manner reserve_unit = {.reservation = rr::reserve_release, .timeout_s = 10};
constexpr manner release_unit = {.reservation = rr::reserve_release, .under_reserve = true, .timeout_s = 10};
constexpr manner pr_read = {
    .direction = in, .reservation = rr::always, .access = access_rule::not_unavailable, .timeout_s = 30};
constexpr manner pr_change = {
    .direction = out, .reservation = rr::persistent_out, .access = access_rule::not_unavailable, .timeout_s = 60};

// clang-format off
using c = command;
constexpr auto x = std::uint8_t{0xff};

/// By ascending opcode, then service action.
constexpr opcode_row table[] = {
    plain(c::test_unit_ready, "TEST UNIT READY", 6, {0x00, 0, 0, 0, 0, 0}, readiness),
    plain(c::request_sense, "REQUEST SENSE", 6, {0x03, 0x01, 0, 0, x, 0}, sense_of_device),
    plain(c::read, "READ(6)", 6, {0x08, 0x1f, x, x, x, 0}, block_read),
    plain(c::write, "WRITE(6)", 6, {0x0a, 0x1f, x, x, x, 0}, block_write),
    plain(c::inquiry, "INQUIRY", 6, {0x12, 0x01, x, x, x, 0}, about_device),
    plain(c::mode_select, "MODE SELECT(6)", 6, {0x15, 0x11, 0, 0, x, 0}, settings_out),
    plain(c::reserve, "RESERVE(6)", 6, {0x16, 0, 0, 0, 0, 0}, reserve_unit),
    plain(c::release, "RELEASE(6)", 6, {0x17, 0, 0, 0, 0, 0}, release_unit),
    plain(c::mode_sense, "MODE SENSE(6)", 6, {0x1a, 0x08, x, x, x, 0}, settings_in),
    plain(c::start_stop_unit, "START STOP UNIT", 6, {0x1b, 0x01, 0, 0x0f, 0xf7, 0}, start_stop),
    plain(c::send_diagnostic, "SEND DIAGNOSTIC", 6, {0x1d, 0x07, 0, 0, 0, 0}, self_test),
    plain(c::prevent_allow_medium_removal, "PREVENT ALLOW MEDIUM REMOVAL", 6, {0x1e, 0, 0, 0, 0x01, 0}, prevent_allow),
    plain(c::read_capacity_10, "READ CAPACITY(10)", 10, {0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, capacity),
    plain(c::read, "READ(10)", 10, {0x28, 0x18, x, x, x, x, 0x1f, x, x, 0}, block_read),
    plain(c::write, "WRITE(10)", 10, {0x2a, 0x18, x, x, x, x, 0x1f, x, x, 0}, block_write),
    plain(c::write_and_verify, "WRITE AND VERIFY(10)", 10, {0x2e, 0x16, x, x, x, x, 0x1f, x, x, 0}, block_write),
    plain(c::verify, "VERIFY(10)", 10, {0x2f, 0x16, x, x, x, x, 0x1f, x, x, 0}, block_verify),
    plain(c::pre_fetch, "PRE-FETCH(10)", 10, {0x34, 0x02, x, x, x, x, 0x1f, x, x, 0}, block_prefetch),
    plain(c::synchronize_cache, "SYNCHRONIZE CACHE(10)", 10, {0x35, 0x02, x, x, x, x, 0x1f, x, x, 0}, cache_flush),
    plain(c::read_defect_data, "READ DEFECT DATA(10)", 10, {0x37, 0, 0x1f, 0, 0, 0, 0, x, x, 0}, defects),
    plain(c::write_same, "WRITE SAME(10)", 10, {0x41, 0x08, x, x, x, x, 0x1f, x, x, 0}, block_fill),
    plain(c::unmap, "UNMAP", 10, {0x42, 0, 0, 0, 0, 0, 0x1f, x, x, 0}, block_fill),
    plain(c::mode_select, "MODE SELECT(10)", 10, {0x55, 0x11, 0, 0, 0, 0, 0, x, x, 0}, settings_out),
    plain(c::reserve, "RESERVE(10)", 10, {0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0}, reserve_unit),
    plain(c::release, "RELEASE(10)", 10, {0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0}, release_unit),
    plain(c::mode_sense, "MODE SENSE(10)", 10, {0x5a, 0x18, x, x, 0, 0, 0, x, x, 0}, settings_in),
    action(c::persistent_reserve_in, "PERSISTENT RESERVE IN, READ KEYS", 10,
           {0x5e, 0x00, 0, 0, 0, 0, 0, x, x, 0}, pr_read),
    action(c::persistent_reserve_in, "PERSISTENT RESERVE IN, READ RESERVATION", 10,
           {0x5e, 0x01, 0, 0, 0, 0, 0, x, x, 0}, pr_read),
    action(c::persistent_reserve_in, "PERSISTENT RESERVE IN, REPORT CAPABILITIES", 10,
           {0x5e, 0x02, 0, 0, 0, 0, 0, x, x, 0}, pr_read),
    action(c::persistent_reserve_in, "PERSISTENT RESERVE IN, READ FULL STATUS", 10,
           {0x5e, 0x03, 0, 0, 0, 0, 0, x, x, 0}, pr_read),
    action(c::persistent_reserve_out, "PERSISTENT RESERVE OUT, REGISTER", 10,
           {0x5f, 0x00, x, 0, 0, x, x, x, x, 0}, pr_change),
    action(c::persistent_reserve_out, "PERSISTENT RESERVE OUT, RESERVE", 10,
           {0x5f, 0x01, x, 0, 0, x, x, x, x, 0}, pr_change),
    action(c::persistent_reserve_out, "PERSISTENT RESERVE OUT, RELEASE", 10,
           {0x5f, 0x02, x, 0, 0, x, x, x, x, 0}, pr_change),
    action(c::persistent_reserve_out, "PERSISTENT RESERVE OUT, CLEAR", 10,
           {0x5f, 0x03, x, 0, 0, x, x, x, x, 0}, pr_change),
    action(c::persistent_reserve_out, "PERSISTENT RESERVE OUT, PREEMPT", 10,
           {0x5f, 0x04, x, 0, 0, x, x, x, x, 0}, pr_change),
    action(c::persistent_reserve_out, "PERSISTENT RESERVE OUT, PREEMPT AND ABORT", 10,
           {0x5f, 0x05, x, 0, 0, x, x, x, x, 0}, pr_change),
    action(c::persistent_reserve_out, "PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING KEY", 10,
           {0x5f, 0x06, x, 0, 0, x, x, x, x, 0}, pr_change),
    action(c::persistent_reserve_out, "PERSISTENT RESERVE OUT, REGISTER AND MOVE", 10,
           {0x5f, 0x07, x, 0, 0, x, x, x, x, 0}, pr_change),
    plain(c::read, "READ(16)", 16, {0x88, 0x18, x, x, x, x, x, x, x, x, x, x, x, x, 0x1f, 0}, block_read),
    plain(c::compare_and_write, "COMPARE AND WRITE", 16,
          {0x89, 0x18, x, x, x, x, x, x, x, x, 0, 0, 0, x, 0x1f, 0}, block_update),
    plain(c::write, "WRITE(16)", 16, {0x8a, 0x18, x, x, x, x, x, x, x, x, x, x, x, x, 0x1f, 0}, block_write),
    plain(c::or_write, "ORWRITE(16)", 16, {0x8b, 0x18, x, x, x, x, x, x, x, x, x, x, x, x, 0x1f, 0}, block_update),
    plain(c::write_and_verify, "WRITE AND VERIFY(16)", 16,
          {0x8e, 0x16, x, x, x, x, x, x, x, x, x, x, x, x, 0x1f, 0}, block_write),
    plain(c::verify, "VERIFY(16)", 16, {0x8f, 0x16, x, x, x, x, x, x, x, x, x, x, x, x, 0x1f, 0}, block_verify),
    plain(c::pre_fetch, "PRE-FETCH(16)", 16, {0x90, 0x02, x, x, x, x, x, x, x, x, x, x, x, x, 0x1f, 0}, block_prefetch),
    plain(c::synchronize_cache, "SYNCHRONIZE CACHE(16)", 16,
          {0x91, 0x02, x, x, x, x, x, x, x, x, x, x, x, x, 0x1f, 0}, cache_flush),
    plain(c::write_same, "WRITE SAME(16)", 16, {0x93, 0x09, x, x, x, x, x, x, x, x, x, x, x, x, 0x1f, 0}, block_fill),
    action(c::read_capacity_16, "READ CAPACITY(16)", 16,
           {0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, x, x, x, x, 0, 0}, capacity),
    action(c::get_lba_status, "GET LBA STATUS", 16,
           {0x9e, 0x12, x, x, x, x, x, x, x, x, x, x, x, x, 0, 0}, block_read),
    plain(c::report_luns, "REPORT LUNS", 12, {0xa0, 0, x, 0, 0, 0, x, x, x, x, 0, 0}, about_device),
    action(c::report_target_port_groups, "REPORT TARGET PORT GROUPS", 12,
           {0xa3, 0xea, 0, 0, 0, 0, x, x, x, x, 0, 0}, about_groups),
    action(c::report_supported_operation_codes, "REPORT SUPPORTED OPERATION CODES", 12,
           {0xa3, 0x0c, 0x87, x, x, x, x, x, x, x, 0, 0}, settings_in),
    action(c::report_supported_task_management_functions, "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", 12,
           {0xa3, 0x0d, 0x80, 0, 0, 0, x, x, x, x, 0, 0}, settings_in),
    action(c::set_target_port_groups, "SET TARGET PORT GROUPS", 12,
           {0xa4, 0x0a, 0, 0, 0, 0, x, x, x, x, 0, 0}, change_groups),
    plain(c::read, "READ(12)", 12, {0xa8, 0x18, x, x, x, x, x, x, x, x, 0x1f, 0}, block_read),
    plain(c::write, "WRITE(12)", 12, {0xaa, 0x18, x, x, x, x, x, x, x, x, 0x1f, 0}, block_write),
    plain(c::write_and_verify, "WRITE AND VERIFY(12)", 12, {0xae, 0x16, x, x, x, x, x, x, x, x, 0x1f, 0}, block_write),
    plain(c::verify, "VERIFY(12)", 12, {0xaf, 0x16, x, x, x, x, x, x, x, x, 0x1f, 0}, block_verify),
    plain(c::read_defect_data, "READ DEFECT DATA(12)", 12, {0xb7, 0x1f, x, x, x, x, x, x, x, x, 0, 0}, defects),
};
// clang-format on
constexpr std::size_t row_count = std::size(table);
static_assert(row_count < 255);

struct stretch {
  std::uint8_t first = 0;
  std::uint8_t count = 0;
};

constexpr std::array<stretch, 256> by_opcode = [] {
  std::array<stretch, 256> index{};
  for (std::size_t i = 0; i < row_count; ++i) {
    stretch& s = index[table[i].opcode];
    if (s.count == 0) s.first = static_cast<std::uint8_t>(i);
    ++s.count;
  }
  return index;
}();

constexpr bool sorted = [] {
  for (std::size_t i = 1; i < row_count; ++i) {
    const opcode_row &a = table[i - 1], &b = table[i];
    if (a.opcode > b.opcode || (a.opcode == b.opcode && a.service_action >= b.service_action)) return false;
  }
  return true;
}();
static_assert(sorted, "rows_of() wants the rows of one opcode side by side");

constexpr bool well_formed = [] {
  for (const opcode_row& row : table) {
    const std::size_t by_group = row.opcode < 0x20 ? 6 : row.opcode < 0x80 ? 10 : row.opcode < 0xa0 ? 16 : 12;
    if (row.cdb_bytes != by_group) return false;
    for (std::size_t i = row.cdb_bytes - 1u; i < 16; ++i)
      if (row.usage[i] != 0) return false;
  }
  return true;
}();
static_assert(well_formed, "the opcode tells the length [SPC-4 4.3.3]; CONTROL supports no bit");

/// FUA_NV and SYNC_NV: obsolete, asked for by older initiators, and asking for less than what is done anyway.
constexpr std::uint8_t ignored_flags(command what) {
  switch (what) {
    case command::read:
    case command::write:
      return 0x02;
    case command::synchronize_cache:
      return 0x04;
    default:
      return 0;
  }
}

constexpr std::uint8_t allowed(const opcode_row& row, std::size_t octet) {
  if (octet == 0) return 0xff;
  if (octet >= row.cdb_bytes) return 0;
  if (octet != 1) return row.usage[octet];
  const unsigned bits = row.usage[1] | (row.cdb_bytes > 6 ? ignored_flags(row.what) : 0);
  return static_cast<std::uint8_t>(row.has_service_action() ? bits | 0x1f : bits);
}

/// A CDB as two words, for a check of all octets at once; what lies beyond the CDB's end is not looked at.
using words = std::array<std::uint64_t, 2>;

constexpr std::array<words, row_count> forbidden = [] {
  std::array<words, row_count> masks{};
  for (std::size_t r = 0; r < row_count; ++r) {
    std::array<std::uint8_t, 16> mask{};
    for (std::size_t i = 0; i < table[r].cdb_bytes; ++i) mask[i] = static_cast<std::uint8_t>(~allowed(table[r], i));
    masks[r] = std::bit_cast<words>(mask);
  }
  return masks;
}();

bool has_forbidden_bit(const opcode_row& row, const_bytes cdb) {
  std::array<std::uint8_t, 16> octets{};
  std::copy_n(cdb.begin(), std::min(cdb.size(), octets.size()), octets.begin());
  const words have = std::bit_cast<words>(octets);
  const words& mask = forbidden[static_cast<std::size_t>(&row - table)];
  return ((have[0] & mask[0]) | (have[1] & mask[1])) != 0;
}

bool is_protected_transfer(const opcode_row& row) {
  return row.overlap != overlap_rule::none && row.cdb_bytes > 6 && !row.has_service_action();
}

/// The most significant bit of the field that holds `bad`, the bits of `octet` that may not be set.
std::uint8_t field_bit(const opcode_row& row, std::size_t octet, std::uint8_t bad) {
  if (octet == 1 && (bad & 0xe0) != 0 && is_protected_transfer(row)) return 7;  // RDPROTECT, WRPROTECT, VRPROTECT
  return static_cast<std::uint8_t>(std::bit_width(bad) - 1);
}

/// Only for a CDB that has a forbidden bit.
outcome first_bad_field(const opcode_row& row, const_bytes cdb) {
  std::size_t i = 1;
  while (i + 1 < row.cdb_bytes && (cdb[i] & ~allowed(row, i)) == 0) ++i;
  const auto bad = static_cast<std::uint8_t>(cdb[i] & ~allowed(row, i));
  return outcomes::invalid_field_in_cdb(static_cast<std::uint16_t>(i), field_bit(row, i, bad));
}

}  // namespace

std::uint8_t opcode_row::allowed_bits(std::size_t octet) const {
  return allowed(*this, octet);
}

std::array<std::uint8_t, 16> opcode_row::usage_by(const unit_facts& unit) const {
  auto mask = usage;
  if (what == command::write_same && !unit.thin) mask[1] &= 0xf7;
  return mask;
}

std::span<const opcode_row> opcode_table() {
  return table;
}

std::span<const opcode_row> rows_of(std::uint8_t opcode) {
  const stretch s = by_opcode[opcode];
  return {table + s.first, s.count};
}

const opcode_row* find_row(std::uint8_t opcode, std::uint16_t service_action) {
  for (const opcode_row& row : rows_of(opcode))
    if (!row.has_service_action() || row.service_action == service_action) return &row;
  return nullptr;
}

or_outcome<const opcode_row*> check_cdb(const_bytes cdb, const unit_facts& unit) {
  if (cdb.empty() || rows_of(cdb[0]).empty()) return tl::unexpected(outcomes::invalid_opcode());
  const std::uint8_t service_action = cdb.size() > 1 ? cdb[1] & 0x1f : 0;
  const opcode_row* row = find_row(cdb[0], service_action);
  if (row == nullptr) return tl::unexpected(outcomes::invalid_field_in_cdb(1, 4));
  if (!row->supported_by(unit)) return tl::unexpected(outcomes::invalid_opcode());
  if (cdb.size() < row->cdb_bytes)
    return tl::unexpected(outcomes::invalid_field_in_cdb(static_cast<std::uint16_t>(cdb.size())));
  if (has_forbidden_bit(*row, cdb)) return tl::unexpected(first_bad_field(*row, cdb));
  if (row->what == command::write_same && !unit.thin && (cdb[1] & 0x08) != 0)
    return tl::unexpected(outcomes::invalid_field_in_cdb(1, 3));
  return row;
}

const char* to_string(command what) {
  switch (what) {
    case command::test_unit_ready:
      return "test_unit_ready";
    case command::request_sense:
      return "request_sense";
    case command::inquiry:
      return "inquiry";
    case command::report_luns:
      return "report_luns";
    case command::mode_select:
      return "mode_select";
    case command::mode_sense:
      return "mode_sense";
    case command::start_stop_unit:
      return "start_stop_unit";
    case command::send_diagnostic:
      return "send_diagnostic";
    case command::prevent_allow_medium_removal:
      return "prevent_allow_medium_removal";
    case command::read_capacity_10:
      return "read_capacity_10";
    case command::read_capacity_16:
      return "read_capacity_16";
    case command::read_defect_data:
      return "read_defect_data";
    case command::get_lba_status:
      return "get_lba_status";
    case command::read:
      return "read";
    case command::write:
      return "write";
    case command::verify:
      return "verify";
    case command::write_and_verify:
      return "write_and_verify";
    case command::or_write:
      return "or_write";
    case command::compare_and_write:
      return "compare_and_write";
    case command::write_same:
      return "write_same";
    case command::unmap:
      return "unmap";
    case command::synchronize_cache:
      return "synchronize_cache";
    case command::pre_fetch:
      return "pre_fetch";
    case command::reserve:
      return "reserve";
    case command::release:
      return "release";
    case command::persistent_reserve_in:
      return "persistent_reserve_in";
    case command::persistent_reserve_out:
      return "persistent_reserve_out";
    case command::report_target_port_groups:
      return "report_target_port_groups";
    case command::set_target_port_groups:
      return "set_target_port_groups";
    case command::report_supported_operation_codes:
      return "report_supported_operation_codes";
    case command::report_supported_task_management_functions:
      return "report_supported_task_management_functions";
  }
  return "unknown command";
}

}  // namespace sluice::scsi
