#include "gateway/scsi/cdb.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "actors/wire/big_endian.hpp"

namespace sluice::scsi {
namespace {

using cdb16 = std::array<std::uint8_t, 16>;

unit_facts unit_of(std::uint64_t blocks) {
  unit_facts unit;
  unit.capacity_blocks = blocks;
  unit.thin = true;
  return unit;
}

or_outcome<block_command> decode(const cdb16& cdb) {
  const auto row = check_cdb(cdb, unit_of(0));
  if (!row) return tl::unexpected(row.error());
  return decode_block_command(**row, cdb);
}

TEST(block_command, read_6_with_length_0_reads_256_blocks) {
  const auto b = decode({0x08, 0x1f, 0xff, 0xff, 0});
  ASSERT_TRUE(b);
  EXPECT_EQ(b->lba, 0x1fffffu);
  EXPECT_EQ(b->blocks, 256u);
}

TEST(block_command, where_a_read_begins_is_known_before_anything_else) {
  EXPECT_EQ(lba_of_read(cdb16{0x08, 0xff, 0x12, 0x34, 9}), 0x1f1234U);
  EXPECT_EQ(lba_of_read(cdb16{0x28, 0x18, 0x80, 0, 0x12, 0x34, 3, 0, 9}), 0x80001234U);
  EXPECT_EQ(lba_of_read(cdb16{0xa8, 0x18, 0x80, 0, 0x12, 0x34, 0, 0, 0, 9, 3}), 0x80001234U);
  EXPECT_EQ(lba_of_read(cdb16{0x88, 0x18, 1, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 9, 3}), 0x0100000000001234U);
  for (const std::uint8_t other : {0x00, 0x0a, 0x2a, 0x2f, 0x9e}) EXPECT_FALSE(lba_of_read(cdb16{other, 1, 2, 3}));
  const cdb16 whole{0x28, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (std::size_t octets = 0; octets < 10; ++octets) EXPECT_FALSE(lba_of_read({whole.data(), octets}));
}

TEST(block_command, the_four_lengths_say_the_same) {
  const cdb16 six{0x0a, 0, 0x12, 0x34, 9};
  const cdb16 ten{0x2a, 0x18, 0, 0, 0x12, 0x34, 3, 0, 9};
  const cdb16 twelve{0xaa, 0x18, 0, 0, 0x12, 0x34, 0, 0, 0, 9, 3};
  const cdb16 sixteen{0x8a, 0x18, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 9, 3};
  for (const cdb16& cdb : {six, ten, twelve, sixteen}) {
    const auto b = decode(cdb);
    ASSERT_TRUE(b);
    EXPECT_EQ(b->what, command::write);
    EXPECT_EQ(b->lba, 0x1234u);
    EXPECT_EQ(b->blocks, 9u);
    EXPECT_EQ(b->transfer_bytes(512), 9u * 512);
    EXPECT_EQ(b->fua, cdb[0] != 0x0a);
    EXPECT_EQ(b->group, cdb[0] == 0x0a ? 0 : 3);
  }
}

TEST(block_command, byte_check_decides_what_verify_moves) {
  const auto moved = [](std::uint8_t byte_check) {
    const auto b = decode({0x2f, static_cast<std::uint8_t>(byte_check << 1), 0, 0, 0, 0, 0, 0, 4});
    return b ? static_cast<std::int64_t>(b->transfer_bytes(512)) : -1;
  };
  EXPECT_EQ(moved(0), 0);
  EXPECT_EQ(moved(1), 4 * 512);
  EXPECT_EQ(moved(2), -1);
  EXPECT_EQ(moved(3), 512);
  EXPECT_FALSE(decode({0x2e, 0x06, 0, 0, 0, 0, 0, 0, 4})) << "WRITE AND VERIFY has no BYTCHK 11b";
}

TEST(block_command, compare_and_write_moves_both_halves) {
  const auto b = decode({0x89, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 3});
  ASSERT_TRUE(b);
  EXPECT_EQ(b->blocks, 3u);
  EXPECT_EQ(b->transfer_bytes(512), 6u * 512);
}

TEST(fit_to_unit, zero_blocks_reach_to_the_end_where_the_standard_says_so) {
  for (const std::uint8_t opcode : {0x35, 0x34, 0x41}) {
    auto b = decode({opcode, 0, 0, 0, 0, 40});
    ASSERT_TRUE(b);
    ASSERT_TRUE(fit_to_unit(*b, unit_of(100)));
    EXPECT_EQ(b->blocks, 60u);
  }
  auto read = decode({0x28, 0, 0, 0, 0, 100});
  ASSERT_TRUE(fit_to_unit(*read, unit_of(100))) << "no blocks at the very end";
  EXPECT_EQ(read->blocks, 0u);
}

TEST(fit_to_unit, refuses_lengths_beyond_the_limits) {
  unit_facts unit = unit_of(1000);
  unit.max_write_same_blocks = 10;
  auto same = decode({0x41, 0, 0, 0, 0, 0, 0, 0, 11});
  const auto fits = fit_to_unit(*same, unit);
  ASSERT_FALSE(fits);
  EXPECT_EQ(fits.error().sense.code, asc::invalid_field_in_cdb);
  EXPECT_EQ(fits.error().sense.field_byte, 7);
  unit.write_same_needs_length = true;
  auto nothing = decode({0x41});
  EXPECT_FALSE(fit_to_unit(*nothing, unit));
  unit.max_compare_and_write_blocks = 2;
  auto compare = decode({0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3});
  EXPECT_EQ(fit_to_unit(*compare, unit).error().sense.field_byte, 13);
}

RC_GTEST_PROP(fit_to_unit, accepts_exactly_what_lies_inside, (std::uint64_t lba, std::uint32_t blocks)) {
  const std::uint64_t capacity = *rc::gen::inRange<std::uint64_t>(1, 1000);
  lba = *rc::gen::element(lba, lba % 1100, UINT64_MAX - blocks % 8);
  blocks %= 1100;
  block_command b{.what = command::read, .lba = lba, .blocks = blocks};
  const bool inside = lba <= capacity && blocks <= capacity - lba;
  const auto fits = fit_to_unit(b, unit_of(capacity));
  RC_ASSERT(fits.has_value() == inside);
  if (!inside) RC_ASSERT(fits.error().sense.code == asc::lba_out_of_range);
}

RC_GTEST_PROP(block_command, sixteen_bytes_round_trip, (std::uint64_t lba, std::uint32_t blocks)) {
  cdb16 cdb{0x88};
  wire::store64(cdb, 2, lba);
  wire::store32(cdb, 10, blocks);
  const auto b = decode(cdb);
  RC_ASSERT(b.has_value());
  RC_ASSERT(b->lba == lba && b->blocks == blocks);
}

TEST(cdb, small_decoders_read_their_fields) {
  const std::uint8_t inquiry[] = {0x12, 1, 0x83, 0x01, 0x02, 0};
  EXPECT_EQ(decode_inquiry(inquiry)->page, 0x83);
  EXPECT_EQ(decode_inquiry(inquiry)->allocation, 0x102);
  const std::uint8_t page_without_evpd[] = {0x12, 0, 0x83, 0, 0xff, 0};
  EXPECT_FALSE(decode_inquiry(page_without_evpd));
  const std::uint8_t start[] = {0x1b, 1, 0, 2, 0x37, 0};
  const auto s = decode_start_stop(start);
  EXPECT_TRUE(s.immed && s.start && s.load_eject && s.no_flush);
  EXPECT_EQ(s.power_condition, 3);
  EXPECT_EQ(s.power_condition_modifier, 2);
  const std::uint8_t pr_out[] = {0x5f, 4, 0x13, 0, 0, 0, 0, 1, 24, 0};
  EXPECT_EQ(decode_pr_out(pr_out).action, pr_out_action::preempt);
  EXPECT_EQ(decode_pr_out(pr_out).scope, 1);
  EXPECT_EQ(decode_pr_out(pr_out).type, 3);
  EXPECT_EQ(decode_pr_out(pr_out).list_length, 280u);
  const std::uint8_t report_luns[] = {0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0};
  EXPECT_EQ(decode_report_luns(report_luns)->allocation, 15u);
  const std::uint8_t groups[] = {0xa3, 0x2a, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};
  EXPECT_TRUE(decode_report_groups(groups)->extended_header);
}

}  // namespace
}  // namespace sluice::scsi
