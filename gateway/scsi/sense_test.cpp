#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "gateway/scsi/outcome_builders.hpp"

namespace sluice::scsi {
namespace {

void expect_same(const sense& a, const sense& b) {
  EXPECT_EQ(a.key, b.key);
  EXPECT_EQ(a.code, b.code);
  EXPECT_EQ(a.has_information, b.has_information);
  EXPECT_EQ(a.information, b.information);
  EXPECT_EQ(a.has_field_pointer, b.has_field_pointer);
  if (a.has_field_pointer) {
    EXPECT_EQ(a.field_in_cdb, b.field_in_cdb);
    EXPECT_EQ(a.field_bit, b.field_bit);
    EXPECT_EQ(a.field_byte, b.field_byte);
  }
  EXPECT_EQ(a.has_progress, b.has_progress);
  EXPECT_EQ(a.progress, b.progress);
  EXPECT_EQ(a.deferred, b.deferred);
}

sense sense_with(sense_key key, additional_sense code) {
  return outcomes::check(key, code).sense;
}

TEST(sense, fixed_format_places_every_field) {
  const auto e = encode(outcomes::invalid_field_in_cdb(2, 5).sense, false);
  const std::uint8_t want[] = {0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0, 0, 0xcd, 0, 2};
  EXPECT_TRUE(std::ranges::equal(e.span(), want));
}

TEST(sense, descriptor_format_carries_a_64_bit_lba) {
  const auto e = encode(outcomes::lba_out_of_range(0x123456789abcdef0).sense, true);
  const std::uint8_t want[] = {0x72, 5, 0x21, 0,    0,    0,    0,    12,   0,    0x0a,
                               0x80, 0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0};
  EXPECT_TRUE(std::ranges::equal(e.span(), want));
}

TEST(sense, fixed_format_leaves_out_what_it_cannot_hold) {
  const auto e = encode(outcomes::lba_out_of_range(uint64_t{1} << 32).sense, false);
  EXPECT_EQ(e.data[0], 0x70);
  EXPECT_FALSE(decode_sense(e.span()).has_information);
}

TEST(sense, a_deferred_error_has_a_response_code_of_its_own) {
  const sense s = outcomes::deferred_write_error().sense;
  const std::uint8_t fixed[] = {0x71, 0, 3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x0c, 0, 0, 0, 0, 0};
  const std::uint8_t descriptors[] = {0x73, 3, 0x0c, 0, 0, 0, 0, 0};
  EXPECT_TRUE(std::ranges::equal(encode(s, false).span(), fixed));
  EXPECT_TRUE(std::ranges::equal(encode(s, true).span(), descriptors));
  for (const bool in_descriptors : {false, true}) expect_same(decode_sense(encode(s, in_descriptors).span()), s);
}

TEST(sense, progress_belongs_to_not_ready) {
  sense s = sense_with(sense_key::not_ready, asc::becoming_ready);
  s.has_progress = true;
  s.progress = 0x8000;
  for (const bool descriptors : {false, true}) expect_same(decode_sense(encode(s, descriptors).span()), s);
}

TEST(sense, every_builder_survives_both_formats) {
  const outcome all[] = {outcomes::invalid_opcode(),
                         outcomes::invalid_field_in_cdb(7),
                         outcomes::invalid_field_in_parameter_list(300, 3),
                         outcomes::lba_out_of_range(77),
                         outcomes::miscompare(513),
                         outcomes::unrecovered_read_error(5),
                         outcomes::write_error(),
                         outcomes::no_space(),
                         outcomes::not_ready(asc::medium_not_present),
                         outcomes::unit_attention(asc::power_on_occurred),
                         outcomes::aborted(asc::overlapped_commands),
                         outcomes::hardware_error(),
                         outcomes::medium_removal_prevented()};
  for (const outcome& o : all) {
    EXPECT_EQ(o.status, status::check_condition);
    for (const bool descriptors : {false, true})
      expect_same(decode_sense(encode(o.sense, descriptors).span()), o.sense);
  }
}

TEST(sense, codes_are_unique_and_named) {
  std::set<additional_sense> seen;
#define SLUICE_ROW(name, value, text)                 \
  EXPECT_TRUE(seen.insert(asc::name).second) << text; \
  EXPECT_STREQ(to_string(asc::name), text);
  SLUICE_ADDITIONAL_SENSE_CODES(SLUICE_ROW)
#undef SLUICE_ROW
  EXPECT_STREQ(to_string(additional_sense{0xffff}), "unknown additional sense code");
}

RC_GTEST_PROP(sense, decoding_is_total, (const std::vector<std::uint8_t>& octets)) {
  const sense s = decode_sense(octets);
  RC_ASSERT(static_cast<unsigned>(s.key) <= 0x0f);
}

RC_GTEST_PROP(sense, descriptor_format_round_trips, (std::uint64_t information, std::uint16_t octet)) {
  sense s = outcomes::invalid_field_in_cdb(octet, octet % 9).sense;
  s.has_information = true;
  s.information = information;
  const sense back = decode_sense(encode(s, true).span());
  RC_ASSERT(back.information == information);
  RC_ASSERT(back.field_byte == octet);
  RC_ASSERT(back.field_bit == octet % 9);
}

}  // namespace
}  // namespace sluice::scsi
