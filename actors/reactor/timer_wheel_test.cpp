#include "actors/reactor/timer_wheel.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace sluice::reactor {
namespace {

struct recorded_timer final : timer {
  std::function<void()> handler;
  void on_timer() noexcept override {
    if (handler) handler();
  }
};

}  // namespace

TEST(timer_wheel, expires_in_order_of_deadline_across_levels) {
  timer_wheel wheel;
  std::vector<std::uint64_t> fired;
  std::vector<std::unique_ptr<recorded_timer>> timers;
  for (const std::uint64_t deadline : {70'000ull, 1ull, 64ull, 63ull, 4096ull, 65ull, 300'000ull, 1ull << 30}) {
    timers.push_back(std::make_unique<recorded_timer>());
    timers.back()->handler = [&fired, deadline] { fired.push_back(deadline); };
    wheel.arm(*timers.back(), deadline);
  }
  EXPECT_EQ(wheel.advance(0), 0u);
  EXPECT_EQ(wheel.advance(1), 1u);
  EXPECT_EQ(wheel.advance(62), 0u);
  EXPECT_EQ(wheel.advance(std::uint64_t{1} << 31), 7u);
  EXPECT_EQ(fired, (std::vector<std::uint64_t>{1, 63, 64, 65, 4096, 70'000, 300'000, 1 << 30}));
  EXPECT_TRUE(wheel.empty());
  EXPECT_FALSE(wheel.next_tick());
}

TEST(timer_wheel, handlers_may_rearm_and_disarm) {
  timer_wheel wheel;
  recorded_timer again, victim;
  int count = 0;
  again.handler = [&] {
    wheel.disarm(victim);
    if (++count < 3) wheel.arm(again, wheel.current_tick());
  };
  wheel.arm(again, 5);
  wheel.arm(victim, 5);
  EXPECT_EQ(wheel.advance(5), 1u);
  EXPECT_FALSE(victim.armed());
  EXPECT_TRUE(again.armed());  // re-armed for the tick after, so a zero delay cannot spin
  EXPECT_EQ(wheel.advance(100), 2u);
  EXPECT_EQ(count, 3);
}

TEST(timer_wheel, clamps_to_its_horizon) {
  timer_wheel wheel;
  recorded_timer far;
  wheel.arm(far, ~std::uint64_t{0});
  EXPECT_TRUE(far.armed());
  wheel.disarm(far);
  EXPECT_TRUE(wheel.empty());
}

TEST(timer_wheel, clear_disarms_everything) {
  timer_wheel wheel;
  recorded_timer near, far;
  wheel.arm(near, 3);
  wheel.arm(far, 1 << 20);
  wheel.clear();
  EXPECT_FALSE(near.armed() || far.armed());
  EXPECT_TRUE(wheel.empty());
  EXPECT_FALSE(wheel.next_tick());
  wheel.arm(near, 5);
  EXPECT_EQ(wheel.advance(5), 1u);
}

RC_GTEST_PROP(timer_wheel_model, agrees_with_an_ordered_map, ()) {
  constexpr std::size_t count = 24;
  timer_wheel wheel;
  std::map<std::size_t, std::uint64_t> model;  // timer -> deadline
  std::vector<recorded_timer> timers(count);
  std::vector<std::uint64_t> fired_at(count, 0);
  for (std::size_t i = 0; i < count; ++i)
    timers[i].handler = [&fired_at, &wheel, i] { fired_at[i] = wheel.current_tick(); };
  const auto steps = *rc::gen::container<std::vector<std::tuple<int, std::size_t, std::uint64_t, unsigned>>>(
      rc::gen::tuple(rc::gen::inRange(0, 4), rc::gen::inRange<std::size_t>(0, count),
                     rc::gen::inRange<std::uint64_t>(0, 1 << 12), rc::gen::inRange(0u, 20u)));
  std::uint64_t now = 0;
  for (const auto& [what, which, mantissa, shift] : steps) {
    const std::uint64_t distance = mantissa << shift;
    if (what <= 1) {
      wheel.arm(timers[which], now + distance);
      model[which] = std::max(now + distance, now + 1);
    } else if (what == 2) {
      wheel.disarm(timers[which]);
      model.erase(which);
    } else {
      now += distance;
      unsigned due = 0;
      std::fill(fired_at.begin(), fired_at.end(), 0);
      const unsigned expired = wheel.advance(now);
      for (auto at = model.begin(); at != model.end();) {
        if (at->second > now) {
          RC_ASSERT(timers[at->first].armed());
          ++at;
          continue;
        }
        RC_ASSERT(fired_at[at->first] == at->second);
        ++due;
        at = model.erase(at);
      }
      RC_ASSERT(expired == due);
    }
    RC_ASSERT(wheel.empty() == model.empty());
    std::uint64_t earliest = ~std::uint64_t{0};
    for (const auto& [timer_index, deadline] : model) earliest = std::min(earliest, deadline);
    if (!model.empty()) RC_ASSERT(*wheel.next_tick() <= earliest && *wheel.next_tick() > now);
  }
  for (recorded_timer& t : timers) wheel.disarm(t);
}

}  // namespace sluice::reactor
