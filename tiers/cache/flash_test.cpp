#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tiers/cache/test_flash_fixture.hpp"

/// The flash tier on the simulated disk: warm after a restart, and never wrong, whatever the power and the flash do.
namespace sluice::cache {
namespace {

using sluice::store::status;
using sluice::store::verb;
using sluice::store::contract::payload;
using sluice::store::contract::test_request;
using testing::HasSubstr;

TEST(flash, blocks_that_leave_ram_are_read_from_flash) {
  flash_fixture s(1);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  EXPECT_GT(s.figure("flash_hit_blocks"), 50);
  EXPECT_THAT(s.read(*s.channel, 0, 256 * kib), testing::Each(7));
  EXPECT_EQ(s.figure("flash_corrupt_blocks"), 0);
}

TEST(flash, is_warm_after_a_restart_and_after_a_loss_of_power) {
  flash_fixture s(2);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  s.restart();
  const double recovered = s.figure("flash_recovered_blocks");
  EXPECT_GT(recovered, 30);
  for (std::uint64_t at = 0; at < 256 * kib; at += 4096) EXPECT_THAT(s.read(*s.channel, at, 4096), testing::Each(7));
  EXPECT_GT(s.figure("flash_hit_blocks"), 20);
  s.settle();
  for (int i = 0; i < 40; ++i) s.world.sim().run_for(100 * ns_per_ms);
  s.lose_power();
  s.open();
  for (std::uint64_t at = 0; at < 256 * kib; at += 4096) EXPECT_THAT(s.read(*s.channel, at, 4096), testing::Each(7));
}

TEST(flash, what_was_written_after_it_was_kept_is_void_after_a_restart) {
  flash_fixture s(3);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  EXPECT_EQ(s.write(16 * kib, 8192, 9), status::good);
  EXPECT_GT(s.figure("flash_table_writes"), 0);
  s.restart();
  EXPECT_THAT(s.read(*s.channel, 16 * kib, 8192), testing::Each(9));
  EXPECT_THAT(s.read(*s.channel, 0, 16 * kib), testing::Each(7));
}

TEST(flash, what_the_store_below_may_lose_is_kept_only_after_a_flush) {
  flash_fixture s(4);
  s.open();
  // The cache's own first flush is due now: it comes with a read, before anything was written.
  EXPECT_EQ(s.write(0, 64 * kib, 7), status::good);
  s.warm(64 * kib);
  s.world.sim().run_for(2 * ns_per_s);
  const double before = s.figure("flash_written_bytes");
  test_request r(verb::write, 0, 256 * kib, payload(s.random, std::vector<std::uint8_t>(256 * kib, 8)));
  EXPECT_EQ(s.run(*s.channel, r), status::good);
  for (std::uint64_t at = 0; at < 128 * kib; at += 4096) s.read(*s.channel, at, 4096);
  EXPECT_EQ(s.figure("flash_written_bytes"), before);
  s.world.sim().run_for(2 * ns_per_s);
  s.warm();
  EXPECT_GT(s.figure("flash_written_bytes"), before) << "nobody flushed: the cache did";
}

TEST(flash, a_flipped_bit_is_a_miss_and_a_repair) {
  flash_fixture s(5);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  s.close();
  {
    // Every block behind the tables, one bit each.
    auto image = *file::open_store({.path = "/flash"}, s.world.loop());
    auto spoil = image->attach(s.world.loop());
    for (std::uint64_t at = 8 * 4096; at < 512 * kib; at += 4096) {
      auto octets = s.read(*spoil, at, 4096);
      if (at / 4096 % 8 == 0) continue;  // headers
      octets[at / 4096 * 37 % 4096] ^= 1;
      test_request w(verb::write, at, 4096, payload(s.random, octets));
      EXPECT_EQ(s.run(*spoil, w), status::good);
    }
  }
  s.open();
  EXPECT_GT(s.figure("flash_recovered_blocks"), 30);
  for (std::uint64_t at = 0; at < 256 * kib; at += 4096) EXPECT_THAT(s.read(*s.channel, at, 4096), testing::Each(7));
  EXPECT_GT(s.figure("flash_corrupt_blocks"), 30);
  EXPECT_EQ(s.store->health(), "good");
}

TEST(flash, that_cannot_be_read_is_passed_by_and_given_up) {
  flash_fixture s(6);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  s.world.sim().medium_error("/flash", 8 * 4096, 512 * kib);
  for (int round = 0; round < 4; ++round)
    for (std::uint64_t at = 0; at < 256 * kib; at += 4096) EXPECT_THAT(s.read(*s.channel, at, 4096), testing::Each(7));
  EXPECT_GT(s.figure("flash_read_errors"), 10);
}

TEST(flash, that_cannot_be_written_is_given_up_and_told_of) {
  flash_fixture s(7);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.world.sim().options().write_error = 1;
  s.warm();
  EXPECT_THAT(s.store->health(), HasSubstr("flash /flash failed"));
  s.world.sim().options().write_error = 0;
  EXPECT_EQ(s.write(0, 4096, 8), status::good);
  EXPECT_THAT(s.read(*s.channel, 0, 4096), testing::Each(8));
}

TEST(flash, that_was_given_up_still_voids_what_is_written) {
  flash_fixture s(10);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  s.world.sim().options().write_error = 1;
  for (int round = 0; round < 3; ++round)
    for (std::uint64_t at = 256 * kib; at < 512 * kib; at += 4096) s.read(*s.channel, at, 4096);
  for (int round = 0; round < 4; ++round)
    for (std::uint64_t at = 512 * kib; at < 768 * kib; at += 4096) s.read(*s.channel, at, 4096);
  s.settle();
  ASSERT_THAT(s.store->health(), HasSubstr("segments cannot be written"));
  s.world.sim().options().write_error = 0;
  EXPECT_EQ(s.write(16 * kib, 8192, 9), status::good);
  s.restart();
  EXPECT_THAT(s.read(*s.channel, 16 * kib, 8192), testing::Each(9));
  EXPECT_EQ(s.store->health(), "good");
}

TEST(flash, whose_table_cannot_be_written_is_wiped_before_a_write_goes_below) {
  for (std::uint64_t seed = 11; seed < 31; ++seed) {
    flash_fixture s(seed);
    s.open();
    EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
    EXPECT_EQ(s.flush(), status::good);
    s.warm();
    s.world.sim().options().write_error = 0.7;
    const status outcome = s.write(16 * kib, 8192, 9);
    s.world.sim().options().write_error = 0;
    const std::uint8_t expected = outcome == status::good ? 9 : s.read(*s.direct, 16 * kib, 8192)[0];
    s.restart();
    EXPECT_EQ(s.read(*s.channel, 16 * kib, 8192), s.read(*s.direct, 16 * kib, 8192)) << seed;
    if (outcome == status::good) {
      EXPECT_THAT(s.read(*s.channel, 16 * kib, 8192), testing::Each(expected));
    }
  }
}

TEST(flash, keeps_nothing_while_somebody_else_may_use_the_store_below) {
  flash_fixture s(40);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  s.store->hand_over();
  test_request foreign(verb::write, 0, 64 * kib, payload(s.random, std::vector<std::uint8_t>(64 * kib, 8)));
  EXPECT_EQ(s.run(*s.direct, foreign), status::good);
  EXPECT_THAT(s.read(*s.channel, 0, 64 * kib), testing::Each(8));
  std::vector<memory::slice> lent;
  EXPECT_FALSE(s.channel->borrow(0, 4096, lent));
  s.store->take_over();
  EXPECT_THAT(s.read(*s.channel, 0, 64 * kib), testing::Each(8));
  EXPECT_THAT(s.read(*s.channel, 64 * kib, 64 * kib), testing::Each(7));
}

TEST(flash, that_was_handed_over_is_not_trusted_when_it_comes_back) {
  flash_fixture s(41);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  s.store->hand_over();
  test_request foreign(verb::write, 0, 64 * kib, payload(s.random, std::vector<std::uint8_t>(64 * kib, 8)));
  EXPECT_EQ(s.run(*s.direct, foreign), status::good);
  s.restart();
  EXPECT_EQ(s.figure("flash_recovered_blocks"), 0);
  EXPECT_THAT(s.read(*s.channel, 0, 64 * kib), testing::Each(8));
}

TEST(flash, that_is_handed_over_before_it_is_used_begins_anew) {
  flash_fixture s(42);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  s.close();
  s.below = *file::open_store({.path = "/image"}, s.world.loop());
  s.store = test_over(s.below, write_through, 64 * kib, 0, {&s.world.loop(), "/flash", 512 * kib, 8});
  s.store->hand_over();
  s.direct = s.below->attach(s.world.loop());
  s.channel = s.store->attach(s.world.loop());
  test_request foreign(verb::write, 0, 64 * kib, payload(s.random, std::vector<std::uint8_t>(64 * kib, 8)));
  EXPECT_EQ(s.run(*s.direct, foreign), status::good);
  s.settle();
  s.store->take_over();
  EXPECT_EQ(s.figure("flash_recovered_blocks"), 0);
  EXPECT_THAT(s.read(*s.channel, 0, 64 * kib), testing::Each(8));
  s.warm();
  EXPECT_GT(s.figure("flash_hit_blocks"), 50);
}

TEST(flash, stays_when_the_ram_changes) {
  flash_fixture s(43);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  options more = s.now();
  more.ram_bytes = 128 * kib;
  s.change(more);
  EXPECT_EQ(s.figure("ram_bytes"), 128 * kib);
  EXPECT_EQ(s.figure("ram_used_bytes"), 0) << "the new RAM is cold";
  const double before = s.figure("flash_hit_blocks");
  for (std::uint64_t at = 0; at < 256 * kib; at += 4096) EXPECT_THAT(s.read(*s.channel, at, 4096), testing::Each(7));
  EXPECT_GT(s.figure("flash_hit_blocks"), before + 20);
  EXPECT_EQ(s.write(16 * kib, 8192, 9), status::good);
  s.restart();
  EXPECT_GT(s.figure("flash_recovered_blocks"), 20);
  EXPECT_THAT(s.read(*s.channel, 16 * kib, 8192), testing::Each(9));
}

TEST(flash, comes_and_goes_while_the_cache_runs) {
  flash_fixture s(44);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  options without = s.now();
  without.flash = {};
  s.change(without);
  EXPECT_EQ(s.figure("flash_bytes"), -1);
  EXPECT_EQ(s.write(0, 64 * kib, 8), status::good);
  s.change(s.now());
  EXPECT_EQ(s.figure("flash_recovered_blocks"), 0) << "what was written meanwhile went past it";
  EXPECT_THAT(s.read(*s.channel, 0, 64 * kib), testing::Each(8));
  s.warm();
  EXPECT_GT(s.figure("flash_hit_blocks"), 50);
  options larger = s.now();
  larger.flash.size_bytes = 2 * mib;
  s.change(larger);
  EXPECT_GT(s.figure("flash_bytes"), 1 * mib);
  s.warm();
  EXPECT_THAT(s.read(*s.channel, 64 * kib, 64 * kib), testing::Each(7));
  EXPECT_EQ(s.store->health(), "good");
}

TEST(flash, of_another_path_is_refused_while_somebody_holds_it) {
  flash_fixture s(45);
  s.open();
  const auto held = s.world.loop().open_file("/other", {.create = true});
  ASSERT_TRUE(held);
  const auto again = s.world.loop().open_file("/other", {.exclusive = true});
  options other = s.now();
  other.flash.path = "/other";
  const auto refused = static_cast<cache_store&>(*s.store).prepare(other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::busy);
  EXPECT_EQ(s.write(0, 64 * kib, 7), status::good);
  EXPECT_THAT(s.read(*s.channel, 0, 64 * kib), testing::Each(7));
}

TEST(flash, of_another_size_begins_anew) {
  flash_fixture s(8);
  s.open();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  s.close();
  flash_fixture* const old = &s;
  old->below = *file::open_store({.path = "/image"}, s.world.loop());
  old->store = test_over(s.below, write_through, 64 * kib, 0, {&s.world.loop(), "/flash", 256 * kib, 8});
  old->direct = s.below->attach(s.world.loop());
  old->channel = s.store->attach(s.world.loop());
  s.settle();
  EXPECT_EQ(s.figure("flash_recovered_blocks"), 0);
  EXPECT_EQ(s.figure("flash_ready"), -1) << "a truth is no number";
  EXPECT_THAT(s.read(*s.channel, 0, 256 * kib), testing::Each(7));
}

TEST(flash, refuses_what_is_too_small) {
  flash_fixture s(9);
  s.below = *file::open_store({.path = "/image", .size_bytes = flash_fixture::size}, s.world.loop());
  options wanted;
  wanted.flash.path = "/flash";
  wanted.flash.size_bytes = 64 * kib;
  const auto refused = cache_store::open(s.below, wanted, &s.world.loop());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("too small"));
}

}  // namespace
}  // namespace sluice::cache
