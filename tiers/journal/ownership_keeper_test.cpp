#include "tiers/journal/ownership_keeper.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include "tiers/journal/test_fixture.hpp"
#include "tiers/ram/ram_store.hpp"

/// The mark of the medium is written where no loop waits, and nothing overtakes it that must not.
namespace sluice::journal {
namespace {

using namespace std::chrono_literals;
using store::contract::real_world;
using store::contract::temporary_folder;
using testing::Each;
using testing::HasSubstr;

/// A simulated world in which calls that block wait until the test makes them.
class slow_fixture : public journal_fixture {
 public:
  explicit slow_fixture(std::uint64_t seed) : journal_fixture(seed) {
    offload = [this](std::function<void()> call) { waiting.push_back(std::move(call)); };
  }
  void make_calls() {
    for (const auto& call : std::exchange(waiting, {})) call();
    world.sim().run_for(ns_per_s);
  }
  /// Flash fails so that it cannot even be made void; `late` was on its way.
  void lose_flash(test_request& late) {
    open();
    control->stall();
    EXPECT_EQ(write(0, 8192, 5), status::good);
    world.sim().fail_writes("/flash", true);
    channel->submit(late);
    world.sim().run_for(ns_per_s);
    control->release();
    world.sim().run_for(ns_per_s);
  }
  payload octets(std::uint64_t length, std::uint8_t value) {
    return payload(random, std::vector<std::uint8_t>(length, value));
  }
  std::vector<std::function<void()>> waiting;
};

TEST(ownership_keeper, nothing_passes_flash_by_before_the_medium_disowns_it) {
  slow_fixture s(1);
  test_request late(verb::write, 0, 4096, s.octets(4096, 6));
  s.lose_flash(late);
  ASSERT_EQ(s.waiting.size(), 1U);
  EXPECT_EQ(late.completions, 0);
  EXPECT_THAT(s.below->read_ownership()->holder, HasSubstr("journal"));
  EXPECT_THAT(s.read(*s.channel, 0, 8192), Each(5)) << "reads go on";
  s.make_calls();
  EXPECT_EQ(late.outcome, status::good);
  EXPECT_THAT(s.read(*s.direct, 0, 4096), Each(6));
  EXPECT_EQ(s.below->read_ownership()->holder, "");
  EXPECT_THAT(s.tier->health(), Not(HasSubstr("replace or wipe")));
}

TEST(ownership_keeper, power_that_goes_before_the_medium_disowns_flash_leaves_it_valid) {
  slow_fixture s(2);
  test_request late(verb::write, 0, 4096, s.octets(4096, 6));
  s.lose_flash(late);
  EXPECT_EQ(late.completions, 0);
  s.waiting.clear();
  s.lose_power();
  s.world.sim().fail_writes("/flash", false);
  s.open();
  EXPECT_THAT(s.read(*s.channel, 0, 8192), Each(5));
}

TEST(ownership_keeper, a_medium_that_is_claimed_again_stays_so_when_a_drain_before_that_comes_through) {
  slow_fixture s(3);
  s.open();
  EXPECT_EQ(s.write(0, 8192, 7), status::good);
  s.tier->begin_hand_over();
  s.world.sim().run_for(ns_per_s);
  ASSERT_EQ(s.tier->core().now, state::passing) << "which waits for no mark";
  EXPECT_EQ(s.write(0, 4096, 8), status::good);
  ASSERT_EQ(s.waiting.size(), 1U);
  s.tier->take_over();
  s.make_calls();
  EXPECT_EQ(s.below->read_ownership()->holder, s.tier->holder());
  EXPECT_EQ(s.write(0, 4096, 9), status::good);
  s.close_dirty();
  s.open();
  EXPECT_THAT(s.read(*s.channel, 0, 4096), Each(9));
  s.tier->begin_hand_over();
  s.world.sim().run_for(ns_per_s);
  s.make_calls();
  EXPECT_EQ(s.below->read_ownership()->holder, "");
}

/// RAM whose marks take their time, or fail.
class slow_marks final : public store::store {
 public:
  explicit slow_marks(std::shared_ptr<store> below) : below_(std::move(below)) {}
  const char* type() const noexcept override { return below_->type(); }
  sluice::store::properties describe() const override { return below_->describe(); }
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& loop) override { return below_->attach(loop); }
  result<void> resize(std::uint64_t size_bytes) override { return below_->resize(size_bytes); }
  result<sluice::store::ownership> read_ownership() override {
    const std::lock_guard lock(guard_);
    return mark_;
  }
  result<void> write_ownership(const sluice::store::ownership& wanted) override {
    std::unique_lock lock(guard_);
    ++waiting_;
    const bool released = released_.wait_for(lock, 2s, [&] { return !held_; });
    --waiting_;
    if (!released || fails_) return fail(errc::io, "it fails");
    mark_ = wanted;
    return {};
  }
  void hold(bool held) {
    const std::lock_guard lock(guard_);
    held_ = held;
    released_.notify_all();
  }
  void set_fails(bool fails) {
    const std::lock_guard lock(guard_);
    fails_ = fails;
  }
  unsigned waiting() const {
    const std::lock_guard lock(guard_);
    return waiting_;
  }

 private:
  const std::shared_ptr<store> below_;
  mutable std::mutex guard_;
  std::condition_variable released_;
  sluice::store::ownership mark_;
  bool held_ = false, fails_ = false;
  unsigned waiting_ = 0;
};

TEST(ownership_keeper, a_loop_serves_while_a_mark_is_written) {
  const temporary_folder folder;
  real_world world;
  std::mt19937_64 random(4);
  const auto below = std::make_shared<slow_marks>(*ram::ram_store::make(size));
  auto tier = test_over(below, world.loop(), folder / "flash", journal_bytes, record_blocks);
  ASSERT_TRUE(tier);
  std::unique_ptr<store::channel> channel;
  const auto run = [&](verb what, std::uint8_t octet) {
    test_request r(what, 0, 4096, payload(random, std::vector<std::uint8_t>(4096, octet)));
    r.on_done = [&] { world.finish(); };
    world.enter([&] {
      if (!channel) channel = tier->attach(world.loop());
      channel->submit(r);
    });
    EXPECT_EQ(r.outcome, status::good);
    return r.content();
  };
  run(verb::write, 1);
  EXPECT_EQ(below->read_ownership()->holder, tier->holder());
  below->hold(true);
  tier->begin_hand_over();
  for (int i = 0; i < 100 && below->waiting() == 0; ++i) {
    run(verb::read, 0);
    std::this_thread::sleep_for(5ms);
  }
  run(verb::write, 2);
  EXPECT_THAT(run(verb::read, 0), Each(2));
  EXPECT_EQ(below->waiting(), 1U) << "all of that came while the mark was being written";
  below->hold(false);
  world.enter([&] {
    channel.reset();
    world.finish();
  });
  tier.reset();
  EXPECT_EQ(below->read_ownership()->holder, "");
}

TEST(ownership_keeper, knows_that_a_medium_could_not_be_told) {
  const auto below = std::make_shared<slow_marks>(*ram::ram_store::make(size));
  std::atomic<int> answers = 0, known = 0;
  {
    ownership_keeper marks(below, 7, {});
    const auto count = [&](bool told) {
      ++answers;
      known += told ? 1 : 0;
    };
    EXPECT_TRUE(marks.claim("somebody", [] {}));
    EXPECT_EQ(marks.claims(), 1U);
    below->set_fails(true);
    EXPECT_TRUE(marks.claim("somebody", [] {})) << "the medium has that mark";
    EXPECT_FALSE(marks.clear());
    EXPECT_FALSE(marks.claim("somebody", [] { FAIL() << "nobody knows what it has now"; }));
    EXPECT_EQ(marks.claims(), 2U);
    marks.disown_off_loop({}, count);
  }
  EXPECT_EQ(answers, 1) << "it waits for its threads";
  EXPECT_EQ(known, 0);
  EXPECT_EQ(below->read_ownership(), (store::ownership{7, "somebody"}));
  below->set_fails(false);
  {
    ownership_keeper marks(below, 7, {});
    marks.disown_off_loop({}, [&](bool told) { known += told ? 1 : 0; });
  }
  EXPECT_EQ(known, 1);
  EXPECT_EQ(below->read_ownership(), (store::ownership{8, {}}));
}

TEST(ownership_keeper, a_medium_without_marks_is_claimed_and_cannot_disown) {
  ownership_keeper marks(*ram::ram_store::make(size), 7, [](const std::function<void()>& call) { call(); });
  bool claimed = false, known = true;
  EXPECT_TRUE(marks.claim("somebody", [&] { claimed = true; }));
  EXPECT_TRUE(claimed);
  EXPECT_TRUE(marks.clear());
  marks.disown_off_loop({}, [&](bool told) { known = told; });
  EXPECT_FALSE(known);
}

}  // namespace
}  // namespace sluice::journal
