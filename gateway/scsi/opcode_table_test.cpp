#include "gateway/scsi/opcode_table.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>
#include <string>

namespace sluice::scsi {
namespace {

using cdb16 = std::array<std::uint8_t, 16>;

unit_facts thin_unit() {
  unit_facts unit;
  unit.thin = true;
  return unit;
}

/// The emptiest CDB that selects a row.
cdb16 bare(const opcode_row& row) {
  cdb16 cdb{};
  cdb[0] = row.opcode;
  if (row.has_service_action()) cdb[1] = static_cast<std::uint8_t>(row.service_action);
  return cdb;
}

void expect_invalid_field(const or_outcome<const opcode_row*>& checked, unsigned octet, unsigned bit) {
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().sense.code, asc::invalid_field_in_cdb);
  EXPECT_TRUE(checked.error().sense.field_in_cdb);
  EXPECT_EQ(checked.error().sense.field_byte, octet);
  EXPECT_EQ(checked.error().sense.field_bit, bit);
}

TEST(opcode_table, every_row_is_reached_by_its_bare_cdb) {
  for (const opcode_row& row : opcode_table()) {
    const auto found = check_cdb(bare(row), thin_unit());
    ASSERT_TRUE(found) << row.name;
    EXPECT_EQ(*found, &row) << row.name;
  }
}

TEST(opcode_table, every_command_has_a_row_and_a_name) {
  std::set<command> seen;
  std::set<std::string> names;
  for (const opcode_row& row : opcode_table()) {
    seen.insert(row.what);
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_STRNE(to_string(row.what), "unknown command");
  }
  EXPECT_EQ(seen.size(), command_count);
}

TEST(opcode_table, each_bit_is_allowed_exactly_by_its_mask) {
  for (const opcode_row& row : opcode_table()) {
    for (unsigned octet = 1; octet < row.cdb_bytes; ++octet) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        if (octet == 1 && row.has_service_action() && bit < 5) continue;
        cdb16 cdb = bare(row);
        cdb[octet] |= static_cast<std::uint8_t>(1 << bit);
        const bool allowed = (row.allowed_bits(octet) >> bit & 1) != 0;
        EXPECT_EQ(check_cdb(cdb, thin_unit()).has_value(), allowed) << row.name << ' ' << octet << '.' << bit;
      }
    }
  }
}

TEST(opcode_table, writers_are_never_allowed_beside_a_write_exclusive_reservation) {
  for (const opcode_row& row : opcode_table()) {
    if (!row.writes_medium) continue;
    EXPECT_EQ(row.reservation, reservation_rule::write_like) << row.name;
    EXPECT_EQ(row.access, access_rule::active) << row.name;
    EXPECT_FALSE(row.under_reserve) << row.name;
    EXPECT_TRUE(row.needs_medium) << row.name;
  }
}

TEST(opcode_table, only_the_three_of_sam_pass_a_unit_attention) {
  for (const opcode_row& row : opcode_table()) {
    const bool exempt =
        row.what == command::inquiry || row.what == command::report_luns || row.what == command::request_sense;
    EXPECT_EQ(row.attention != attention_rule::reports, exempt) << row.name;
  }
}

TEST(check_cdb, refuses_what_it_does_not_know) {
  const std::uint8_t log_sense[10] = {0x4d};
  EXPECT_EQ(check_cdb(log_sense, {}).error().sense.code, asc::invalid_opcode);
  EXPECT_EQ(check_cdb({}, {}).error().sense.code, asc::invalid_opcode);
  const std::uint8_t reserve_in_9[10] = {0x5e, 0x09};
  expect_invalid_field(check_cdb(reserve_in_9, {}), 1, 4);
}

TEST(check_cdb, refuses_naca_protection_and_short_cdbs) {
  std::uint8_t read[10] = {0x28};
  read[9] = 0x04;
  expect_invalid_field(check_cdb(read, {}), 9, 2);
  read[9] = 0;
  read[1] = 0x20;
  expect_invalid_field(check_cdb(read, {}), 1, 7);
  read[1] = 0;
  expect_invalid_field(check_cdb(const_bytes(read).first(7), {}), 7, 8);
}

TEST(check_cdb, ignores_the_obsolete_fua_nv) {
  const std::uint8_t write[10] = {0x2a, 0x0a};
  EXPECT_TRUE(check_cdb(write, {}));
}

TEST(check_cdb, unmaps_on_thin_units_only) {
  const std::uint8_t unmap[10] = {0x42};
  EXPECT_TRUE(check_cdb(unmap, thin_unit()));
  EXPECT_EQ(check_cdb(unmap, {}).error().sense.code, asc::invalid_opcode);
  const std::uint8_t write_same[10] = {0x41, 0x08};
  EXPECT_TRUE(check_cdb(write_same, thin_unit()));
  expect_invalid_field(check_cdb(write_same, {}), 1, 3);
}

RC_GTEST_PROP(check_cdb, what_passes_agrees_with_the_mask, (std::array<std::uint8_t, 16> cdb)) {
  const auto rows = opcode_table();
  cdb[0] = rows[*rc::gen::inRange<std::size_t>(0, rows.size())].opcode;
  const auto row = check_cdb(cdb, thin_unit());
  if (!row) return;
  for (std::size_t i = 0; i < (*row)->cdb_bytes; ++i) RC_ASSERT((cdb[i] & ~(*row)->allowed_bits(i)) == 0);
}

}  // namespace
}  // namespace sluice::scsi
