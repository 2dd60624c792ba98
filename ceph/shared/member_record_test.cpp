#include "ceph/shared/member_record.hpp"

#include <gtest/gtest.h>

namespace sluice::shared {
namespace {

TEST(member_record, is_read_as_it_was_written) {
  const member_record lives{3, UINT64_MAX, 17, false, {"127.0.0.1:0/4153", "v2:[::1]:0/9"}};
  EXPECT_EQ(parse_member(text_of(lives)).value(), lives);
  member_record linked = lives;
  linked.link = "[::1]:3290";
  linked.link_secret = "00ff";
  EXPECT_EQ(parse_member(text_of(linked)).value(), linked);
  const member_record gone{1, 2, 0, true, {}};
  EXPECT_EQ(parse_member(text_of(gone)).value(), gone);
  EXPECT_EQ(parse_seat(text_of(seat_record{5, 6})).value(), (seat_record{5, 6}));
  EXPECT_EQ(parse_obedience(text_of(obedience{1, 5, 6})).value(), (obedience{1, 5, 6}));
}

TEST(member_record, of_anything_else_is_damaged) {
  for (const char* text : {"", "lives", "lives 1 2", "lives 1 2 x", "lives 70000 2 3", "lives 1 2 3 ", "lives 1  2 3",
                           "Lives 1 2 3", "lives 01 2 3", "lives 1 2 3 a\tb", "dead 1 2 3", "lives 1 2 3 @",
                           "lives 1 2 3 @/x", "lives 1 2 3 @a", "lives 1 2 3 a @b/c", "lives 1 2 3 @a/b @a/b"})
    EXPECT_EQ(parse_member(text).error().code, errc::corrupt) << text;
  for (const char* text : {"", "1", "1 2 3", "1 2 ", "-1 2"}) EXPECT_FALSE(parse_seat(text)) << text;
  for (const char* text : {"1 2", "1 2 3 4", "65536 1 1"}) EXPECT_FALSE(parse_obedience(text)) << text;
  std::string many = "lives 1 2 3";
  for (std::size_t i = 0; i <= member_record::max_addresses; ++i) many += " a";
  EXPECT_FALSE(parse_member(many));
}

}  // namespace
}  // namespace sluice::shared
