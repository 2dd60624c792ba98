#include "fabrics/iscsi/text.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace sluice::iscsi {
namespace {

using namespace std::string_literals;

TEST(text, splits_pairs_and_keeps_equal_signs_of_values) {
  const auto text = "A=1\0Key=a=b\0Empty=\0"s;
  auto pairs = parse_text(as_bytes(text));
  ASSERT_TRUE(pairs);
  ASSERT_EQ(pairs->size(), 3u);
  EXPECT_EQ((*pairs)[1].key, "Key");
  EXPECT_EQ((*pairs)[1].value, "a=b");
  EXPECT_EQ((*pairs)[2].value, "");
}

TEST(text, refuses_malformed_text) {
  for (const auto& text : {"A=1"s, "A\0"s, "=1\0"s, "A B=1\0"s, std::string(64, 'k') + "=1\0"s,
                           "A="s + std::string(max_value_bytes + 1, 'v') + "\0"s})
    EXPECT_FALSE(parse_text(as_bytes(text))) << text;
  std::string many;
  for (std::size_t i = 0; i <= max_text_keys; ++i) append_text(many, "X-k", "v");
  EXPECT_FALSE(parse_text(as_bytes(many)));
}

TEST(text, accumulates_up_to_its_limit) {
  text_accumulator a;
  const std::string part(max_text_bytes / 2, 'a');
  EXPECT_EQ(a.add(as_bytes(part)), text_accumulator::room::enough);
  EXPECT_EQ(a.add(as_bytes(part)), text_accumulator::room::enough);
  EXPECT_EQ(a.add(as_bytes("x")), text_accumulator::room::too_long);
}

TEST(text, leaves_in_pieces) {
  text_pieces pieces;
  pieces.load("abcdefg");
  EXPECT_EQ(pieces.next(3), "abc");
  EXPECT_EQ(pieces.next(3), "def");
  EXPECT_FALSE(pieces.empty());
  EXPECT_EQ(pieces.next(3), "g");
  EXPECT_TRUE(pieces.empty());
}

TEST(binary, reads_hex_and_base64) {
  using octets = std::vector<std::uint8_t>;
  EXPECT_EQ(parse_binary("0x0aFF", 8), (octets{0x0a, 0xff}));
  EXPECT_EQ(parse_binary("0Xaff", 8), (octets{0x0a, 0xff}));
  EXPECT_EQ(parse_binary("0bTWFu", 8), (octets{'M', 'a', 'n'}));
  EXPECT_EQ(parse_binary("0BTWE=", 8), (octets{'M', 'a'}));
  EXPECT_EQ(parse_binary("0bTQ==", 8), (octets{'M'}));
  for (const char* bad : {"", "0x", "0b", "1234", "0xg0", "0bTWF", "0bT?==", "0x0102030405060708ff"})
    EXPECT_FALSE(parse_binary(bad, 8)) << bad;
}

TEST(binary, hex_survives_a_round_trip) {
  rc::check([](const std::vector<std::uint8_t>& data) {
    RC_PRE(!data.empty());
    RC_ASSERT(parse_binary(to_hex(data), data.size()) == data);
  });
}

TEST(number, takes_decimal_and_hex_only_whole) {
  EXPECT_EQ(parse_number("8192"), 8192u);
  EXPECT_EQ(parse_number("0x10"), 16u);
  for (const char* bad : {"", "0x", "-1", "12a", " 1", "99999999999999999999"}) EXPECT_FALSE(parse_number(bad)) << bad;
}

}  // namespace
}  // namespace sluice::iscsi
