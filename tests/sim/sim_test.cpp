#include <gtest/gtest.h>

#include "tests/sim/simulation.hpp"

namespace sluice::sim {
namespace {

std::unique_ptr<simulation> all_scenarios;

/// One actor system serves all tests; it ends before the thread's pools do.
class one_simulation final : public ::testing::Environment {
 public:
  void SetUp() override { all_scenarios = std::make_unique<simulation>(); }
  void TearDown() override { all_scenarios.reset(); }
};
const auto* const registered = ::testing::AddGlobalTestEnvironment(new one_simulation);

simulation& everything() {
  return *all_scenarios;
}

TEST(simulation, gives_the_same_history_for_the_same_seed) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const report first = everything().run(seed, {});
    const report again = everything().run(seed, {});
    EXPECT_EQ(first.failure, "");
    EXPECT_EQ(first.digest, again.digest);
    EXPECT_EQ(first.commands, again.commands);
    EXPECT_EQ(first.virtual_ns, again.virtual_ns);
  }
}

TEST(simulation, gives_another_history_for_another_seed) {
  EXPECT_NE(everything().run(1, {}).digest, everything().run(2, {}).digest);
}

class planted_bug : public ::testing::TestWithParam<plant> {};

/// The seeds that it takes at most; bugs that hide longer than this mean that the oracle has become blind.
TEST_P(planted_bug, is_found_soon) {
  constexpr std::uint64_t at_most = 25;
  std::uint64_t seed = 1;
  scenario_options options{.bug = GetParam()};
  options.frozen = GetParam() == plant::fencing_waits;
  options.tiers = options.rot = GetParam() == plant::forgotten_losses;
  options.caches = GetParam() > plant::fencing_waits && !options.tiers;
  while (seed <= at_most && everything().run(seed, options).failure.empty()) ++seed;
  EXPECT_LE(seed, at_most);
}

INSTANTIATE_TEST_SUITE_P(kinds, planted_bug,
                         ::testing::Values(plant::lost_write, plant::stale_read, plant::double_completion,
                                           plant::reservation_breach, plant::fencing_waits, plant::unsynced_flush,
                                           plant::unflushed_mode_select, plant::forgotten_loss, plant::deferred_to_one,
                                           plant::deferred_twice, plant::forgotten_losses),
                         [](const auto& of) {
                           std::string name = to_string(of.param);
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

}  // namespace
}  // namespace sluice::sim
