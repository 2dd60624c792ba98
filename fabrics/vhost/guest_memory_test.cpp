#include <gtest/gtest.h>

#include "fabrics/vhost/test_guest.hpp"

namespace sluice::vhost {
namespace {

std::vector<guest_memory::region> regions(std::vector<region_description> all) {
  std::vector<guest_memory::region> out;
  for (const region_description& each : all) out.push_back({each, nullptr, nullptr});
  return out;
}

}  // namespace

TEST(guest_memory, addresses_end_in_a_region_or_nowhere) {
  test_guest g;
  EXPECT_EQ(g.memory->at(test_guest::low, 16), g.first.data());
  EXPECT_EQ(g.memory->at(test_guest::low + 0x1fff, 1), g.second.data() + 0xfff);
  EXPECT_EQ(g.memory->at(test_guest::low + 0xfff, 2), nullptr) << "in two regions";
  EXPECT_EQ(g.memory->at(0x50000, 1), nullptr);
  EXPECT_EQ(g.memory->at(test_guest::apart, 0x1001), nullptr);
  EXPECT_EQ(g.memory->at(~std::uint64_t{0}, 1), nullptr);
  EXPECT_EQ(g.memory->at(test_guest::apart + 1, ~std::uint64_t{0}), nullptr) << "wraps";
  EXPECT_EQ(g.memory->at_user(test_guest::user + 0x30010, 8), g.third.data() + 16);
  EXPECT_EQ(g.memory->at_user(test_guest::user - 1, 8), nullptr);
  EXPECT_EQ(g.memory->at_user(test_guest::user + 0xfff, 2), nullptr);
  EXPECT_EQ(g.memory->address_of(g.third.data() + 5), test_guest::apart + 5);
  EXPECT_EQ(g.memory->address_of(g.third.data() + g.third.size()), std::nullopt);
}

TEST(guest_memory, a_range_may_lie_in_regions_that_follow_each_other) {
  test_guest g;
  std::vector<iovec> pieces;
  EXPECT_TRUE(g.memory->translate(test_guest::low + 0xff0, 0x20, pieces));
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[0].iov_base, g.first.data() + 0xff0);
  EXPECT_EQ(pieces[0].iov_len, 16u);
  EXPECT_EQ(pieces[1].iov_base, g.second.data());
  EXPECT_FALSE(g.memory->translate(test_guest::low, 0x2001, pieces)) << "beyond the second";
  EXPECT_FALSE(g.memory->translate(test_guest::low + 5, ~std::uint64_t{0}, pieces));
  EXPECT_EQ(pieces.size(), 2u) << "as it was";
}

TEST(guest_memory, nothing_goes_on_behind_the_last_address) {
  std::vector<std::uint8_t> end(16), start(16);
  const auto memory = guest_memory::make({{{~std::uint64_t{0} - 16, 16, 0x1000, 0}, nullptr, end.data()},
                                          {{0, 16, 0x2000, 0}, nullptr, start.data()}})
                          .value();
  std::vector<iovec> pieces;
  EXPECT_TRUE(memory->translate(~std::uint64_t{0} - 16, 16, pieces));
  EXPECT_FALSE(memory->translate(~std::uint64_t{0} - 16, 18, pieces));
}

TEST(guest_memory, tables_that_cannot_be_are_refused) {
  const std::uint64_t end = ~std::uint64_t{0};
  EXPECT_TRUE(guest_memory::make({}));
  EXPECT_FALSE(guest_memory::make(regions({{0, 0, 0, 0}}))) << "empty";
  EXPECT_FALSE(guest_memory::make(regions({{end - 10, 20, 0, 0}})));
  EXPECT_FALSE(guest_memory::make(regions({{0, 20, end - 10, 0}})));
  EXPECT_FALSE(guest_memory::make(regions({{0, 20, 0, 0}, {19, 20, 100, 0}}))) << "overlap in the guest";
  EXPECT_FALSE(guest_memory::make(regions({{0, 20, 0, 0}, {100, 20, 19, 0}}))) << "overlap in the front end";
  EXPECT_TRUE(guest_memory::make(regions({{0, 20, 100, 0}, {20, 20, 0, 0}})));
  std::vector<region_description> many;
  for (std::uint64_t i = 0; i <= guest_memory::max_regions; ++i) many.push_back({i * 100, 100, i * 100, 0});
  EXPECT_FALSE(guest_memory::make(regions(many)));
}

}  // namespace sluice::vhost
