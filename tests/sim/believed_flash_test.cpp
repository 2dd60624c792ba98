#include <gtest/gtest.h>

#include "tests/sim/machine_actor.hpp"
#include "tests/sim/tier_kind.hpp"

/// Which flash the gateway has a medium name, from one life to the next: a file keeps that itself, a device does not.
namespace sluice::sim {
namespace {

class believed_flash : public testing::TestWithParam<const char*> {
 protected:
  believed_flash() {
    if (is_device()) world_.make_device(path, size);
    config::store_config disk{"disk", GetParam(), {}, "", {}};
    disk.settings.set("path", std::string(path));
    if (!is_device()) disk.settings.set("size", std::uint64_t{size});
    config::unit_config unit;
    unit.name = unit.store = "disk";
    model_.stores = {disk};
    model_.units = {unit};
  }
  bool is_device() const { return std::string(GetParam()) == "block"; }
  /// The flash that the medium names after a life with such tiers.
  std::uint64_t live_with(tier_kind kind, std::uint64_t flash_of_its_own = 0) {
    put_tiers(model_, kind, 256 * kib, 0);
    if (flash_of_its_own != 0)
      model_.stores.back().settings.set("flash.path", flash_path + std::to_string(flash_of_its_own));
    machine_.start(model_);
    world_.run_for(ns_per_s);
    const auto named = machine_.store("disk").read_binding();
    machine_.stop();
    EXPECT_EQ(judge_.verdict(), "");
    EXPECT_TRUE(named);
    return named.value_or(0);
  }

  static constexpr const char* path = "/sim/disk";
  static constexpr std::uint64_t size = 2 * mib;
  reactor::sim_world world_{1};
  judge judge_;
  actors actors_;
  machine machine_{world_, actors_, judge_, 2, plant::none};
  config::model model_;
};

TEST_P(believed_flash, is_the_one_of_the_life_before) {
  const std::uint64_t first = live_with(tier_kind::flash);
  EXPECT_NE(first, 0U);
  EXPECT_EQ(live_with(tier_kind::flash), first);
  EXPECT_EQ(live_with(tier_kind::flash_around), first) << "which is told of all writes, too";
}

TEST_P(believed_flash, is_none_after_a_life_without_flash) {
  for (const tier_kind other : {tier_kind::none, tier_kind::ram, tier_kind::write_back_in_memory}) {
    const std::uint64_t first = live_with(tier_kind::flash);
    EXPECT_EQ(live_with(other), 0U);
    const std::uint64_t again = live_with(tier_kind::flash);
    EXPECT_NE(again, 0U);
    EXPECT_NE(again, first) << "it began anew";
  }
}

TEST_P(believed_flash, is_the_other_one_after_a_life_with_that) {
  const std::uint64_t first = live_with(tier_kind::flash);
  const std::uint64_t other = live_with(tier_kind::flash, 2);
  EXPECT_NE(other, 0U);
  EXPECT_NE(other, first);
  EXPECT_NE(live_with(tier_kind::flash), first);
}

TEST_P(believed_flash, follows_what_is_applied) {
  const std::uint64_t first = live_with(tier_kind::flash);
  put_tiers(model_, tier_kind::none, 0, 0);
  machine_.start(model_);
  EXPECT_EQ(machine_.store("disk").read_binding(), 0U);
  put_tiers(model_, tier_kind::flash, 256 * kib, 0);
  machine_.apply(model_);
  world_.run_for(ns_per_s);
  const std::uint64_t second = machine_.store("disk").read_binding().value_or(0);
  EXPECT_NE(second, 0U);
  EXPECT_NE(second, first);
  put_tiers(model_, tier_kind::ram, 256 * kib, 0);
  machine_.apply(model_);
  EXPECT_EQ(machine_.store("disk").read_binding(), 0U);
  world_.run_for(ns_per_s);  // until all go by the new tiers
  put_tiers(model_, tier_kind::flash, 256 * kib, 0);
  machine_.apply(model_);
  world_.run_for(ns_per_s);
  EXPECT_NE(machine_.store("disk").read_binding(), 0U);
  put_tiers(model_, tier_kind::none, 0, 0);
  machine_.apply(model_);
  EXPECT_EQ(machine_.store("disk").read_binding(), 0U);
  machine_.stop();
  EXPECT_EQ(judge_.verdict(), "");
}

INSTANTIATE_TEST_SUITE_P(over, believed_flash, testing::Values("file", "block"),
                         [](const auto& of) { return std::string(of.param); });

}  // namespace
}  // namespace sluice::sim
