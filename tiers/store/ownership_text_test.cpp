#include "tiers/store/ownership_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::store {
namespace {

TEST(ownership_text, says_what_the_mark_says) {
  for (const ownership& each :
       {ownership{}, ownership{7, "journal 0123456789abcdef at host:/flash of two words"}, ownership{UINT64_MAX, ""}})
    EXPECT_EQ(ownership_of(text_of(each), "it"), each);
  EXPECT_EQ(text_of({7, "journal"}), "7 journal");
  EXPECT_EQ(ownership_of("", "it"), ownership());
}

TEST(ownership_text, is_refused_where_it_is_none) {
  for (const char* each : {"7", "journal", "-1 journal", " 7 journal", "7\tjournal", "99999999999999999999 journal"}) {
    const auto found = ownership_of(each, "the attribute");
    ASSERT_FALSE(found) << each;
    EXPECT_EQ(found.error().code, errc::corrupt);
    EXPECT_THAT(found.error().message, testing::StartsWith("the attribute is none"));
  }
}

TEST(ownership_text, of_a_binding_that_is_none_names_no_flash) {
  for (const std::uint64_t each : {std::uint64_t{0}, std::uint64_t{7}, UINT64_MAX})
    EXPECT_EQ(binding_of(text_of_binding(each)), each);
  for (const char* each : {"", "seven", "7 ", " 7", "-7", "0x7", "99999999999999999999"})
    EXPECT_EQ(binding_of(each), 0U);
}

}  // namespace
}  // namespace sluice::store
