#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tiers/cache/test_flash_stand.hpp"

/// Flash that is gone from one moment on, with requests under way: they are answered, and right. What a start makes of
/// flash that is gone, empty, or back.
namespace sluice::cache {
namespace {

using sluice::store::status;
using sluice::store::verb;
using sluice::store::contract::payload;
using sluice::store::contract::test_request;
using testing::HasSubstr;

class vanish_run {
 public:
  vanish_run(std::uint64_t seed, const mode& how) : s(seed, 512 * kib, 64 * kib, how) {
    s.open();
    EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
    EXPECT_EQ(s.flush(), status::good);
    s.warm();
  }
  void set_gone(bool gone) { s.world.sim().faults("/flash").gone = gone; }
  /// `count` requests, some at a time; one in `write_each` writes.
  void work(unsigned count, unsigned write_each) {
    for (unsigned i = 0; i < count; ++i) {
      const std::uint64_t at = s.random() % 96 * 4096;
      const verb what = write_each != 0 && s.random() % write_each == 0 ? verb::write : verb::read;
      all_.push_back(
          std::make_unique<test_request>(what, at, 8192, payload(s.random, std::vector<std::uint8_t>(8192, next_++))));
      all_.back()->on_done = [this] { --in_flight_; };
      ++in_flight_;
      s.door->submit(*all_.back());
      s.world.sim().run_until([&] { return in_flight_ < 6; }, s.world.sim().now_ns() + 10 * ns_per_s);
    }
  }
  void finish() {
    ASSERT_TRUE(s.world.sim().run_until([&] { return in_flight_ == 0; }, s.world.sim().now_ns() + 10 * ns_per_s));
    for (const auto& each : all_) EXPECT_EQ(each->outcome, status::good);
    all_.clear();
    s.compare();
  }

  flash_stand s;

 private:
  std::vector<std::unique_ptr<test_request>> all_;
  std::size_t in_flight_ = 0;
  std::uint8_t next_ = 10;
};

class flash_vanish : public testing::TestWithParam<const mode*> {};

TEST_P(flash_vanish, under_requests_nothing_is_wrong_and_health_tells_it) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    vanish_run run(seed, *GetParam());
    run.work(20 + static_cast<unsigned>(run.s.random() % 20), 4);
    run.set_gone(true);
    run.work(60, 4);
    run.finish();
    EXPECT_THAT(run.s.store->health(), HasSubstr("replace or wipe it before the gateway starts anew"));
    EXPECT_EQ(run.s.flush(), status::good);
    run.s.close();

    const auto refused = run.s.try_open();
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("flash.path: open /flash"));
    run.set_gone(false);
    run.s.world.sim().remove_file("/flash");
    run.s.open();
    EXPECT_EQ(run.s.figure("flash_recovered_blocks"), 0);
    EXPECT_EQ(run.s.store->health(), "good");
    run.s.compare();
    run.s.warm();
    EXPECT_GT(run.s.figure("flash_hit_blocks"), 0);
  }
}

TEST_P(flash_vanish, under_reads_only_it_may_come_back) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    vanish_run run(seed, *GetParam());
    run.work(20, 4);
    run.finish();
    run.set_gone(true);
    run.work(seed % 2 == 0 ? 10 : 400, 0);
    run.set_gone(false);
    run.work(60, 4);
    run.finish();
    EXPECT_EQ(run.s.store->health() == "good", seed % 2 == 0) << run.s.store->health();
    seed % 3 == 0 ? run.s.lose_power() : run.s.close();
    run.s.open();
    run.s.compare();
    EXPECT_EQ(run.s.store->health(), "good");
  }
}

TEST_P(flash_vanish, while_it_is_looked_at_the_cache_goes_on_without_it) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    vanish_run run(seed, *GetParam());
    run.s.close();
    const auto opened = run.s.try_open();
    ASSERT_TRUE(opened);
    run.s.store = *opened;
    run.s.store->take_over();
    run.s.direct = run.s.below->attach(run.s.world.loop());
    run.s.door = run.s.store->attach(run.s.world.loop());
    run.s.world.sim().run_for(run.s.random() % (20 * ns_per_ms));
    run.set_gone(true);
    run.work(60, 4);
    run.finish();
    EXPECT_THAT(run.s.store->health(), HasSubstr("failed"));
  }
}

std::string mode_name(const testing::TestParamInfo<const mode*>& of) {
  return of.param == &write_through ? "write_through" : "write_around";
}
INSTANTIATE_TEST_SUITE_P(modes, flash_vanish, testing::Values(&write_through, &write_around), mode_name);

}  // namespace
}  // namespace sluice::cache
