#include "gateway/daemon/load_watch.hpp"

#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

constexpr gateway_id own = 1, other = 2, third = 3;

struct watched {
  load_watch watch;
  std::map<gateway_id, std::uint64_t> counts;
  std::optional<gateway_id> after(std::map<gateway_id, std::uint64_t> more) {
    for (const auto& [gateway, commands] : more) counts[gateway] += commands;
    return watch.look(counts, own);
  }
  /// How many such periods it takes; 0: more than a hundred.
  unsigned periods_until_it_moves(const std::map<gateway_id, std::uint64_t>& more) {
    for (unsigned i = 1; i <= 100; ++i)
      if (after(more)) return i;
    return 0;
  }
};

TEST(load_watch, gives_a_unit_to_where_nearly_all_commands_come) {
  watched w;
  EXPECT_FALSE(w.after({{own, 10}, {other, 0}}));
  EXPECT_EQ(w.periods_until_it_moves({{own, 100}, {other, 900}}), load_watch::periods);
  EXPECT_FALSE(w.after({{own, 100}, {other, 900}})) << "it begins to count anew";
}

TEST(load_watch, keeps_a_unit_that_is_used_by_all_paths) {
  EXPECT_EQ(watched().periods_until_it_moves({{own, 500}, {other, 500}}), 0U);
  EXPECT_EQ(watched().periods_until_it_moves({{own, 300}, {other, 700}}), 0U);
  EXPECT_EQ(watched().periods_until_it_moves({{other, 600}, {third, 400}}), 0U) << "whose would it be?";
  EXPECT_EQ(watched().periods_until_it_moves({{own, 1000}}), 0U);
}

TEST(load_watch, does_not_move_an_idle_unit) {
  EXPECT_EQ(watched().periods_until_it_moves({{other, load_watch::min_commands - 1}}), 0U);
  EXPECT_EQ(watched().periods_until_it_moves({}), 0U);
}

TEST(load_watch, counts_periods_one_after_the_other) {
  watched w;
  EXPECT_FALSE(w.after({{other, 0}, {third, 0}, {own, 0}}));
  for (unsigned round = 0; round < 10; ++round) {
    for (unsigned i = 1; i < load_watch::periods; ++i) EXPECT_FALSE(w.after({{other, 1000}}));
    EXPECT_FALSE(w.after({{own, 1000}, {other, 1000}}));
  }
  for (unsigned i = 1; i < load_watch::periods; ++i) EXPECT_FALSE(w.after({{other, 1000}}));
  EXPECT_FALSE(w.after({{third, 1000}})) << "another one";
}

TEST(load_watch, what_came_before_it_owned_the_unit_does_not_count) {
  watched w;
  w.counts = {{other, 1'000'000}};
  EXPECT_FALSE(w.after({{other, 1000}}));
  EXPECT_EQ(w.periods_until_it_moves({{other, 1000}}), load_watch::periods);
}

TEST(load_watch, counters_that_began_anew_are_no_load) {
  watched w;
  EXPECT_FALSE(w.after({{other, 5000}}));
  w.counts[other] = 0;
  for (unsigned i = 1; i < load_watch::periods; ++i) EXPECT_FALSE(w.after({{other, 1000}}));
}

}  // namespace
}  // namespace sluice::daemon
