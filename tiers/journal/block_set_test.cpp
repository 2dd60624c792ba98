#include "tiers/journal/block_set.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <random>
#include <set>

namespace sluice::journal {
namespace {

constexpr block_number most = 200;

TEST(block_set, agrees_with_a_set_of_numbers) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    block_set tried;
    std::set<block_number> model;
    for (int i = 0; i < 60; ++i) {
      const block_number first = random() % most, last = first + random() % 12;
      const bool adds = random() % 3 != 0;
      std::uint64_t added = 0;
      for (block_number b = first; b < last; ++b) added += adds ? model.insert(b).second : 0 * model.erase(b);
      if (adds)
        RC_ASSERT(tried.insert(first, last) == added);
      else
        tried.erase(first, last);
      RC_ASSERT(tried.size() == model.size());
      RC_ASSERT(tried.empty() == model.empty());
      for (block_number b = 0; b < most + 12; ++b) RC_ASSERT(tried.contains(b) == model.contains(b));
    }
    const std::size_t limit = 1 + random() % 20;
    const auto ranges = tried.ranges(limit);
    RC_ASSERT(ranges.size() <= limit);
    block_set again;
    for (const block_range& each : ranges) again.insert(each.first, each.first + each.count);
    for (const block_number b : model) RC_ASSERT(again.contains(b));
    if (tried.ranges(most).size() <= limit) RC_ASSERT(again.size() == model.size());
  }));
}

TEST(block_set, joins_what_lies_nearest_where_there_is_no_room_for_all) {
  block_set lost;
  for (const block_number b : {0, 10, 12, 100}) lost.insert(b, b + 1);
  EXPECT_EQ(lost.ranges(3), (std::vector<block_range>{{0, 1}, {10, 3}, {100, 1}}));
  EXPECT_EQ(lost.ranges(1), (std::vector<block_range>{{0, 101}}));
  EXPECT_EQ(lost.ranges(4).size(), 4U);
}

}  // namespace
}  // namespace sluice::journal
