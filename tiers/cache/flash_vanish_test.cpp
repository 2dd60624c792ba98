#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "tiers/cache/test_flash_fixture.hpp"

/// Flash that is gone from one moment on, with requests under way: they are answered, and right. What a start makes of
/// flash that is gone, empty, or back.
namespace sluice::cache {
namespace {

using sluice::store::status;
using sluice::store::verb;
using sluice::store::contract::payload;
using sluice::store::contract::test_request;
using testing::Each;
using testing::HasSubstr;
using testing::Not;

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
      s.channel->submit(*all_.back());
      s.world.sim().run_until([&] { return in_flight_ < 6; }, s.world.sim().now_ns() + 10 * ns_per_s);
    }
  }
  void finish() {
    ASSERT_TRUE(s.world.sim().run_until([&] { return in_flight_ == 0; }, s.world.sim().now_ns() + 10 * ns_per_s));
    for (const auto& each : all_) EXPECT_EQ(each->outcome, status::good);
    all_.clear();
    s.compare();
  }

  flash_fixture s;

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
    EXPECT_THAT(run.s.store->health(), HasSubstr("the cache goes on without it"));
    EXPECT_THAT(run.s.store->health(), Not(HasSubstr("replace or wipe"))) << "the medium has been told";
    EXPECT_EQ(run.s.flush(), status::good);
    run.s.close();

    {
      const auto without = run.s.try_open();
      ASSERT_TRUE(without) << without.error().message;
      EXPECT_THAT((*without)->health(), HasSubstr("goes on without flash (flash.path: open /flash"));
    }
    run.set_gone(false);
    // As it was, or another one in its place.
    if (seed % 2 == 0) run.s.world.sim().remove_file("/flash");
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
    run.s.channel = run.s.store->attach(run.s.world.loop());
    run.s.world.sim().run_for(run.s.random() % (20 * ns_per_ms));
    run.set_gone(true);
    run.work(60, 4);
    run.finish();
    EXPECT_THAT(run.s.store->health(), HasSubstr("failed"));
  }
}

TEST_P(flash_vanish, back_after_a_life_without_it_it_is_not_believed) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    vanish_run run(seed, *GetParam());
    run.work(20, 4);
    run.finish();
    seed % 3 == 0 ? run.s.lose_power() : run.s.close();
    run.set_gone(true);
    run.s.flash_path = seed % 2 == 0 ? "" : "/flash2";
    run.s.open();
    run.work(60, 4);
    run.finish();
    seed % 5 == 0 ? run.s.lose_power() : run.s.close();
    run.set_gone(false);
    run.s.flash_path = "/flash";
    run.s.open();
    EXPECT_EQ(run.s.figure("flash_recovered_blocks"), 0);
    run.s.compare();
    run.s.restart();
    run.s.compare();
  }
}

TEST_P(flash_vanish, taken_away_after_it_vanished_it_is_not_believed_when_it_comes_back) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    vanish_run run(seed, *GetParam());
    run.set_gone(true);
    options without = run.s.now();
    without.flash = {};
    run.s.change(without);
    run.work(60, 4);
    run.finish();
    EXPECT_EQ(run.s.store->health(), "good");
    seed % 2 == 0 ? run.s.lose_power() : run.s.close();
    run.set_gone(false);
    run.s.open();
    EXPECT_EQ(run.s.figure("flash_recovered_blocks"), 0);
    run.s.compare();
  }
}

/// A gateway in which calls that block wait until the test makes them; flash vanishes as a write comes.
class slow_run : public vanish_run {
 public:
  slow_run(std::uint64_t seed, const mode& how) : vanish_run(seed, how) {
    s.close();
    s.offload = [this](std::function<void()> call) { waiting.push_back(std::move(call)); };
    s.open();
    set_gone(true);
    s.channel->submit(late);
    s.world.sim().run_for(ns_per_s);
  }
  void make_calls() {
    for (const auto& call : std::exchange(waiting, {})) call();
    s.world.sim().run_for(ns_per_s);
  }
  std::vector<std::function<void()>> waiting;
  test_request late{verb::write, 0, 4096, payload(s.random, std::vector<std::uint8_t>(4096, 9))};
};

TEST_P(flash_vanish, nothing_passes_it_by_before_the_medium_knows) {
  slow_run run(1, *GetParam());
  EXPECT_EQ(run.late.completions, 0);
  EXPECT_THAT(run.s.read(*run.s.direct, 0, 4096), Each(7));
  EXPECT_THAT(run.s.read(*run.s.channel, 4096, 4096), Each(7)) << "reads go on";
  ASSERT_EQ(run.waiting.size(), 1U);
  run.make_calls();
  EXPECT_EQ(run.late.outcome, status::good);
  EXPECT_EQ(run.s.write(8192, 4096, 10), status::good) << "nobody waits any more";
  run.s.lose_power();
  run.set_gone(false);
  run.s.open();
  EXPECT_EQ(run.s.figure("flash_recovered_blocks"), 0);
  run.s.compare();
}

TEST_P(flash_vanish, power_that_goes_before_the_medium_knows_leaves_it_valid) {
  slow_run run(2, *GetParam());
  EXPECT_EQ(run.late.completions, 0);
  run.waiting.clear();
  run.s.lose_power();
  run.set_gone(false);
  run.s.open();
  EXPECT_GT(run.s.figure("flash_recovered_blocks"), 30);
  run.s.compare();
}

/// A medium that can be asked for its binding, but not told.
class deaf_medium final : public store::store {
 public:
  deaf_medium(std::shared_ptr<store> below, const bool& deaf) : below_(std::move(below)), deaf_(deaf) {}
  const char* type() const noexcept override { return below_->type(); }
  sluice::store::properties describe() const override { return below_->describe(); }
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& loop) override { return below_->attach(loop); }
  result<void> resize(std::uint64_t size_bytes) override { return below_->resize(size_bytes); }

 protected:
  result<std::uint64_t> read_own_binding() override { return below_->read_binding(); }
  result<void> write_own_binding(std::uint64_t flash) override {
    return deaf_ ? fail(errc::io, "it is deaf") : below_->write_binding(flash);
  }

 private:
  const std::shared_ptr<store> below_;
  const bool& deaf_;
};

TEST_P(flash_vanish, over_a_medium_that_cannot_be_told_it_is_the_operators_to_wipe) {
  bool deaf = false;
  vanish_run run(3, *GetParam());
  run.s.close();
  run.s.wrap = [&](auto medium) { return std::make_shared<deaf_medium>(std::move(medium), deaf); };
  run.s.open();
  EXPECT_GT(run.s.figure("flash_recovered_blocks"), 30);
  deaf = true;
  run.set_gone(true);
  EXPECT_EQ(run.s.write(0, 4096, 9), status::good) << "writes do not wait for ever";
  EXPECT_THAT(run.s.store->health(), HasSubstr("replace or wipe it before the gateway starts anew"));
  run.s.compare();
  run.s.close();
  run.s.flash_path = "/flash2";
  const auto refused = run.s.try_open();
  ASSERT_FALSE(refused) << "the first one would be believed when it came back";
  EXPECT_THAT(refused.error().message, HasSubstr("over: the medium cannot note that another flash may be stale"));
  deaf = false;
  run.s.open();
  run.s.close();
  run.set_gone(false);
  run.s.flash_path = "/flash";
  run.s.open();
  EXPECT_EQ(run.s.figure("flash_recovered_blocks"), 0);
  run.s.compare();
}

std::string vanish_mode_name(const testing::TestParamInfo<const mode*>& of) {
  return of.param == &write_through ? "write_through" : "write_around";
}
INSTANTIATE_TEST_SUITE_P(modes, flash_vanish, testing::Values(&write_through, &write_around), vanish_mode_name);

}  // namespace
}  // namespace sluice::cache
