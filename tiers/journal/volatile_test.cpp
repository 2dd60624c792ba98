#include <gmock/gmock.h>

#include <cstdlib>
#include <map>

#include "tiers/journal/test_fixture.hpp"

/// A journal in memory: a write is GOOD at once and durable when it is flushed, as with a disk that has a volatile
/// cache; what the power takes is the end of what was written, not its middle.
namespace sluice::journal {
namespace {

using testing::Each;

std::unique_ptr<test_request> start(journal_fixture& s, verb what, std::uint8_t octet = 0, bool fua = false) {
  const std::uint64_t length = what == verb::flush ? 0 : 8192;
  auto r = std::make_unique<test_request>(what, 0, length, payload(s.random, std::vector<std::uint8_t>(length, octet)));
  r->fua = fua;
  s.channel->submit(*r);
  s.world.sim().run_for(ns_per_s);
  return r;
}

TEST(volatile_journal, says_that_its_cache_is_volatile_and_leaves_no_mark) {
  journal_fixture s(1);
  s.is_volatile = true;
  s.open();
  EXPECT_TRUE(s.tier->describe().volatile_cache);
  EXPECT_EQ(s.write(0, 8192, 5), status::good);
  EXPECT_EQ(s.below->read_ownership()->holder, "");
  EXPECT_TRUE(s.settle()) << "nobody has to flush";
  EXPECT_THAT(s.read(*s.direct, 0, 8192), Each(5));
}

TEST(volatile_journal, does_not_take_the_place_of_one_that_holds_data) {
  journal_fixture s(2);
  s.open();
  s.control->stall();
  EXPECT_EQ(s.write(0, 8192, 5), status::good);
  s.close_dirty();
  s.is_volatile = true;
  const auto refused = s.try_open();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("the medium lacks data"));
  s.drop();
}

TEST(volatile_journal, answers_a_flush_and_a_durable_write_when_all_before_is_below) {
  for (const verb what : {verb::flush, verb::write, verb::compare_and_write}) {
    journal_fixture s(3);
    s.is_volatile = true;
    s.open();
    s.control->stall();
    EXPECT_EQ(s.write(0, 8192, 5), status::good);
    EXPECT_EQ(s.write(16384, 8192, 5), status::good);
    std::unique_ptr<test_request> r;
    if (what == verb::compare_and_write) {
      payload both(s.random, std::vector<std::uint8_t>(8192, 5));
      const auto compared = static_cast<unsigned>(both.parts().size());
      both.append(payload(s.random, std::vector<std::uint8_t>(8192, 6)));
      r = std::make_unique<test_request>(what, 0, 8192, std::move(both));
      r->parts_compare = compared;
      r->fua = true;
      s.channel->submit(*r);
      s.world.sim().run_for(ns_per_s);
    } else {
      r = start(s, what, 6, true);
    }
    EXPECT_EQ(r->completions, 0);
    s.control->release();
    s.world.sim().run_for(ns_per_s);
    ASSERT_EQ(r->completions, 1);
    EXPECT_EQ(r->outcome, status::good);
    s.lose_power();
    s.open();
    EXPECT_THAT(s.read(*s.channel, 0, 8192), Each(what == verb::flush ? 5 : 6));
    EXPECT_THAT(s.read(*s.channel, 16384, 8192), Each(5));
  }
}

TEST(volatile_journal, a_durable_write_covers_what_was_too_long_for_the_log) {
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {  // each loses something else with the power
    journal_fixture s(seed);
    s.is_volatile = true;
    s.open();
    EXPECT_EQ(s.write(0, 8192, 5), status::good);
    EXPECT_EQ(start(s, verb::flush)->outcome, status::good);
    test_request long_one(verb::write_zeroes, 0, size - 8192);
    ASSERT_EQ(s.run(*s.channel, long_one), status::good);
    test_request durable(verb::write, size - 4096, 4096, payload(s.random, std::vector<std::uint8_t>(4096, 6)));
    durable.fua = true;
    ASSERT_EQ(s.run(*s.channel, durable), status::good);
    s.lose_power();
    s.open();
    EXPECT_THAT(s.read(*s.channel, 0, 8192), Each(0)) << seed;
  }
}

TEST(volatile_journal, a_durable_write_covers_what_was_written_after_the_memory_failed) {
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    journal_fixture s(seed);
    s.is_volatile = true;
    s.open();
    s.world.sim().options().write_error = 1;
    test_request first(verb::write, 0, 4096, payload(s.random, std::vector<std::uint8_t>(4096, 4)));
    s.channel->submit(first);
    ASSERT_TRUE(
        s.world.sim().run_until([&] { return s.tier->core().flash_failed(); }, s.world.sim().now_ns() + ns_per_s));
    s.world.sim().options().write_error = 0;
    s.world.sim().run_for(ns_per_s);
    ASSERT_EQ(first.completions, 1);
    EXPECT_EQ(s.write(0, 8192, 5), status::good);
    test_request durable(verb::write, size - 4096, 4096, payload(s.random, std::vector<std::uint8_t>(4096, 6)));
    durable.fua = true;
    ASSERT_EQ(s.run(*s.channel, durable), status::good);
    s.lose_power();
    s.open();
    EXPECT_THAT(s.read(*s.channel, 0, 8192), Each(5)) << seed;
  }
}

TEST(volatile_journal, tells_who_flushes_that_the_store_below_refuses_and_keeps_the_data) {
  journal_fixture s(4);
  s.is_volatile = true;
  s.open();
  s.control->fail_next(verb::write, 1000, status::medium_error);
  EXPECT_EQ(s.write(0, 8192, 5), status::good);
  EXPECT_EQ(start(s, verb::flush)->outcome, status::medium_error);
  EXPECT_EQ(start(s, verb::write, 6, true)->outcome, status::medium_error);
  EXPECT_THAT(s.read(*s.channel, 0, 8192), Each(5));
  s.control->fail_next(verb::write, 1000, status::no_space);
  s.world.sim().run_for(15 * ns_per_s);
  EXPECT_EQ(start(s, verb::flush)->outcome, status::no_space) << "and how";
  s.control->fail_next(verb::write, 0, status::good);
  s.world.sim().run_for(30 * ns_per_s);
  EXPECT_EQ(start(s, verb::flush)->outcome, status::good);
  EXPECT_THAT(s.read(*s.direct, 0, 8192), Each(5));
}

TEST(volatile_journal, passes_writes_on_as_they_are_while_it_holds_nothing_back) {
  journal_fixture s(5);
  s.is_volatile = true;
  s.open();
  EXPECT_EQ(s.write(0, 8192, 5), status::good);
  s.tier->begin_hand_over();
  ASSERT_TRUE(
      s.world.sim().run_until([&] { return s.tier->handed_over().has_value(); }, s.world.sim().now_ns() + ns_per_s));
  EXPECT_THAT(s.read(*s.direct, 0, 8192), Each(5));
  EXPECT_EQ(s.write(0, 8192, 6), status::good);
  EXPECT_THAT(s.read(*s.direct, 0, 8192), Each(6));
  s.tier->take_over();
  s.control->stall();
  EXPECT_EQ(s.write(0, 8192, 7), status::good) << "held back again";
  s.control->release();
  EXPECT_TRUE(s.settle());
}

/// Requests one after the other; each sector holds the number of the request that wrote it.
class power_run {
 public:
  explicit power_run(std::uint64_t seed) : fixture_(seed) {
    fixture_.is_volatile = true;
    fixture_.world.sim().options().disk_latency_ns = {20 * ns_per_us, 300 * ns_per_us};
    fixture_.open();
  }
  /// How many requests the power took.
  std::uint64_t run() {
    const std::uint64_t steps = 20 + fixture_.random() % 150;
    for (number_ = 1; number_ <= steps && !testing::Test::HasFailure(); ++number_) act();
    fixture_.world.sim().run_for(fixture_.random() % (5 * ns_per_ms));
    fixture_.lose_power();
    fixture_.open();
    return check();
  }

 private:
  static constexpr std::uint64_t unit = 512;
  static constexpr std::uint64_t units = 256;

  void act() {
    auto& random = fixture_.random;
    const bool flushes = random() % 10 == 0;
    const std::uint64_t count = flushes ? 0 : 1 + random() % 60;
    const std::uint64_t first = random() % (units - count);
    std::vector<std::uint8_t> octets(count * unit, static_cast<std::uint8_t>(number_));
    test_request r(flushes ? verb::flush : verb::write, first * unit, count * unit, payload(random, octets));
    r.fua = !flushes && random() % 12 == 0;
    ASSERT_EQ(fixture_.run(*fixture_.channel, r), status::good);
    for (std::uint64_t u = first; u < first + count; ++u) written_[u].push_back(number_);
    if (flushes || r.fua) promised_ = number_;
    if (random() % 3 == 0) fixture_.world.sim().run_for(random() % (15 * ns_per_ms));
  }
  std::uint64_t check() {
    const auto image = fixture_.read(*fixture_.channel, 0, units * unit);
    std::uint64_t taken = 0;
    for (const auto& [u, all] : written_) {
      const std::uint8_t found = image[u * unit];
      for (std::uint64_t i = 0; i < unit; ++i) EXPECT_EQ(image[u * unit + i], found) << "a torn sector " << u;
      const auto seen =
          std::find_if(all.rbegin(), all.rend(), [&](auto n) { return static_cast<std::uint8_t>(n) == found; });
      EXPECT_TRUE(seen != all.rend() || found == 0) << "nobody wrote " << int{found} << " to sector " << u;
      const std::uint64_t version = seen == all.rend() ? 0 : *seen;
      for (const std::uint64_t n : all)
        if (n > version) {
          EXPECT_GT(n, promised_) << "sector " << u << " holds " << version << ": a promise was broken";
          ++taken;
        }
    }
    return taken;
  }

  journal_fixture fixture_;
  std::map<std::uint64_t, std::vector<std::uint64_t>> written_;
  std::uint64_t number_ = 0, promised_ = 0;
};

TEST(volatile_journal, what_was_flushed_or_written_durably_survives_the_power) {
  const char* const more = std::getenv("SLUICE_SEEDS");
  const std::uint64_t seeds = more ? std::strtoull(more, nullptr, 10) : 100;
  std::uint64_t took = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    took += power_run(seed).run() != 0 ? 1 : 0;
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(took, seeds / 10) << "power that takes nothing proves nothing";
}

}  // namespace
}  // namespace sluice::journal
