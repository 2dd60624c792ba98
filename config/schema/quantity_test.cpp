#include "config/schema/quantity.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace sluice::config {

namespace {

TEST(quantity, reads_what_operators_write) {
  EXPECT_EQ(parse_size("0B"), 0u);
  EXPECT_EQ(parse_size("64GiB"), 64ull << 30);
  EXPECT_EQ(parse_size("64 GiB"), 64ull << 30);
  EXPECT_EQ(parse_size("18446744073709551615B"), UINT64_MAX);
  EXPECT_EQ(parse_size("16777215TiB"), 16777215ull << 40);
  EXPECT_EQ(parse_duration("250ms"), 250'000'000u);
  EXPECT_EQ(parse_duration("30 s"), 30'000'000'000u);
  EXPECT_EQ(parse_duration("5min"), 300'000'000'000u);
}

TEST(quantity, refuses_everything_else) {
  for (const char* bad : {"", " ", "1", "GiB", "1GB", "1gib", "1.5GiB", "-1B", "+1B", " 1B", "1B ", "1  B", "1KiBB",
                          "0x1B", "16777216TiB", "18446744073709551616B", "1e3B"})
    EXPECT_FALSE(parse_size(bad)) << bad;
  for (const char* bad : {"", "1", "1us", "1h", "1m", "1 sec", "-1s", "18446744073709551615min"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
}

TEST(quantity, reads_ranges) {
  EXPECT_EQ(parse_range("0B+1GiB"), (byte_range{0, 1ull << 30}));
  EXPECT_EQ(parse_range("512 GiB+64MiB"), (byte_range{512ull << 30, 64ull << 20}));
  EXPECT_EQ(format_range({512ull << 30, 64ull << 20}), "512GiB+64MiB");
  for (const char* bad :
       {"", "+", "1GiB", "1GiB+", "+1GiB", "0B+0B", "1GiB+1GiB+1GiB", "1GiB-2GiB", "4194304TiB+1B", "1B+4194304TiB"})
    EXPECT_FALSE(parse_range(bad)) << bad;
}

RC_GTEST_PROP(quantity, reads_back_every_size, (std::uint64_t octets)) {
  RC_ASSERT(parse_size(format_size(octets)) == octets);
  const std::uint64_t round = octets & ~((1ull << 30) - 1);
  RC_ASSERT(parse_size(format_size(round)) == round);
}

RC_GTEST_PROP(quantity, reads_back_every_duration, (std::uint32_t milliseconds)) {
  const std::uint64_t ns = milliseconds * 1'000'000ull;
  RC_ASSERT(parse_duration(format_duration(ns)) == ns);
}

RC_GTEST_PROP(quantity, takes_any_text, (const std::string& text)) {
  if (const auto size = parse_size(text)) RC_ASSERT(parse_size(format_size(*size)) == size);
  (void)parse_duration(text);
}

TEST(quantity, spells_sizes_for_people) {
  EXPECT_EQ(format_size(1536ull << 20), "1536MiB");
  EXPECT_EQ(approximate_size(0), "0 B");
  EXPECT_EQ(approximate_size(1023), "1023 B");
  EXPECT_EQ(approximate_size(1536ull << 20), "1.5 GiB");
  EXPECT_EQ(approximate_size(1020ull << 30), "1020 GiB");
  EXPECT_EQ(approximate_size(UINT64_MAX).substr(0, 1), "1");
}

}  // namespace

}  // namespace sluice::config
