#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tiers/journal/offline.hpp"
#include "tiers/journal/test_fixture.hpp"

/// A journal whose flash, or whose store below, fails; who may use what it holds.
namespace sluice::journal {
namespace {

using testing::Each;
using testing::HasSubstr;

TEST(journal, a_write_is_answered_before_the_store_below_hears_of_it_and_reaches_it_in_the_end) {
  journal_fixture s(1);
  s.open();
  ASSERT_EQ(s.write(0, 4096, 1), status::good);
  ASSERT_TRUE(s.settle()) << "what was below before has been flushed";
  s.control->stall();
  EXPECT_EQ(s.write(8192, 4096, 7), status::good);
  EXPECT_THAT(s.read(*s.channel, 8192, 4096), Each(7));
  test_request flush(verb::flush, 0, 0);
  EXPECT_EQ(s.run(*s.channel, flush), status::good) << "it is durable, wherever it is";
  s.control->release();
  EXPECT_TRUE(s.settle());
  EXPECT_THAT(s.read(*s.direct, 8192, 4096), Each(7));
}

TEST(journal, parts_of_blocks_are_merged_with_what_is_below_and_on_flash) {
  journal_fixture s(2);
  s.open();
  EXPECT_EQ(s.write(0, 16384, 1), status::good);
  EXPECT_TRUE(s.settle());
  EXPECT_EQ(s.write(512, 512, 2), status::good);
  EXPECT_EQ(s.write(1024, 8192, 3), status::good);
  const auto check = [&](store::channel& on) {
    EXPECT_THAT(s.read(on, 0, 512), Each(1));
    EXPECT_THAT(s.read(on, 512, 512), Each(2));
    EXPECT_THAT(s.read(on, 1024, 8192), Each(3));
    EXPECT_THAT(s.read(on, 9216, 7168), Each(1));
  };
  check(*s.channel);
  EXPECT_TRUE(s.settle());
  check(*s.direct);
}

TEST(journal, a_store_below_that_refuses_writes_is_asked_again_and_nothing_is_dropped) {
  journal_fixture s(3);
  s.open();
  s.control->fail_next(verb::write, 5, status::no_space);
  s.control->fail_next(verb::flush, 2, status::medium_error);
  EXPECT_EQ(s.write(0, 65536, 9), status::good);
  s.world.sim().run_for(150 * ns_per_ms);
  EXPECT_THAT(s.tier->health(), HasSubstr("the store below refuses"));
  EXPECT_THAT(s.read(*s.channel, 0, 65536), Each(9));
  EXPECT_TRUE(s.settle());
  EXPECT_EQ(s.tier->health(), "good");
  EXPECT_THAT(s.read(*s.direct, 0, 65536), Each(9));
  EXPECT_GE(s.tier->core().figures.below_errors.load(), 3U);
}

TEST(journal, what_was_written_before_a_flush_that_failed_is_written_again) {
  journal_fixture s(4);
  s.open();
  s.control->fail_next(verb::flush, 1, status::medium_error);
  EXPECT_EQ(s.write(0, 8192, 9), status::good);
  EXPECT_TRUE(s.settle());
  EXPECT_EQ(s.tier->core().figures.destaged_bytes.load(), 2 * 8192U) << "the system tells of a lost write only once";
}

TEST(journal, flash_that_cannot_be_written_is_emptied_and_passed_by) {
  for (std::uint64_t seed = 10; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    journal_fixture s(seed);
    s.open();
    for (std::uint64_t i = 0; i < 20; ++i) EXPECT_EQ(s.write(i * 8192, 8192, 5), status::good);
    // Its writes fail one by one; those below do not.
    s.world.sim().options().write_error = seed % 2 == 0 ? 1 : 0.4;
    std::vector<std::unique_ptr<test_request>> all;
    std::size_t left = 12;
    for (std::uint64_t i = 0; i < 12; ++i) {
      all.push_back(std::make_unique<test_request>(verb::write, i * 8192, 8192,
                                                   payload(s.random, std::vector<std::uint8_t>(8192, 6))));
      all.back()->on_done = [&left] { --left; };
      s.channel->submit(*all.back());
    }
    s.world.sim().run_until([&] { return s.tier->core().flash_failed(); }, s.world.sim().now_ns() + ns_per_s);
    s.world.sim().options().write_error = 0;
    ASSERT_TRUE(s.world.sim().run_until([&] { return left == 0; }, s.world.sim().now_ns() + 60 * ns_per_s));
    for (const auto& each : all) EXPECT_EQ(each->outcome, status::good);
    const state end = s.tier->core().flash_failed() ? state::passing : state::journaling;
    EXPECT_TRUE(s.world.sim().run_until([&] { return s.tier->core().now == end; }, s.world.sim().now_ns() + ns_per_s));
    for (std::uint64_t i = 0; i < 20; ++i) EXPECT_THAT(s.read(*s.channel, i * 8192, 8192), Each(i < 12 ? 6 : 5));
    // What passed by is never undone by what failed and is on flash all the same.
    for (std::uint64_t i = 0; i < 12; ++i) EXPECT_EQ(s.write(i * 8192, 8192, 7), status::good);
    s.lose_power();
    s.open();
    for (std::uint64_t i = 0; i < 20; ++i) EXPECT_THAT(s.read(*s.channel, i * 8192, 8192), Each(i < 12 ? 7 : 5));
  }
}

TEST(journal, flash_that_cannot_even_be_made_void_is_disowned_by_its_medium) {
  journal_fixture s(71);
  s.open();
  s.control->stall();
  EXPECT_EQ(s.write(0, 8192, 5), status::good);
  s.world.sim().fail_writes("/flash", true);
  test_request late(verb::write, 0, 8192, payload(s.random, std::vector<std::uint8_t>(8192, 6)));
  s.channel->submit(late);
  s.world.sim().run_for(ns_per_s);
  EXPECT_EQ(late.completions, 0) << "what is on flash goes below first";
  s.control->release();
  s.world.sim().run_for(ns_per_s);
  EXPECT_EQ(late.outcome, status::good);
  EXPECT_THAT(s.tier->health(), HasSubstr("failed"));
  EXPECT_EQ(s.write(0, 4096, 7), status::good);
  s.lose_power();
  s.world.sim().fail_writes("/flash", false);
  const auto refused = s.try_open();
  ASSERT_FALSE(refused) << "what it holds is older than what is below";
  EXPECT_THAT(refused.error().message, HasSubstr("the medium does not wait for them"));
  s.drop();
  EXPECT_TRUE(s.with_flash([](auto& loop, auto handle) { return resolve(loop, handle, decision::discard); }));
  s.open();
  EXPECT_THAT(s.read(*s.channel, 0, 4096), Each(7));
  EXPECT_THAT(s.read(*s.channel, 4096, 4096), Each(6));
}

TEST(journal, a_dirty_block_that_cannot_be_read_is_a_medium_error_until_it_is_written_and_the_rest_gets_below) {
  for (const bool restart : {false, true}) {
    journal_fixture s(5);
    s.open();
    s.control->stall();
    EXPECT_EQ(s.write(0, 4 * block_bytes, 7), status::good);  // slots 1 … 4 of the log
    s.world.sim().medium_error("/flash", offset_of(2), block_bytes);
    EXPECT_EQ(s.read(*s.channel, block_bytes, block_bytes, status::medium_error).size(), block_bytes);
    EXPECT_THAT(s.read(*s.channel, 0, block_bytes), Each(7));
    s.control->release();
    EXPECT_TRUE(s.settle());
    EXPECT_THAT(s.tier->health(), HasSubstr("lost"));
    EXPECT_THAT(s.read(*s.direct, 0, block_bytes), Each(7));
    EXPECT_THAT(s.read(*s.direct, 2 * block_bytes, 2 * block_bytes), Each(7));
    if (restart) {
      s.close();
      s.open();
    }
    s.read(*s.channel, 0, 4 * block_bytes, status::medium_error);
    s.control->fail_next(verb::write_zeroes, 1, status::medium_error);
    test_request zeroes(verb::write_zeroes, 0, size);
    EXPECT_EQ(s.run(*s.channel, zeroes), status::medium_error) << "too long for the log: the store below is asked";
    s.read(*s.channel, block_bytes, block_bytes, status::medium_error);
    EXPECT_EQ(s.write(block_bytes, 512, 8), status::medium_error) << "the rest of the block is not known";
    EXPECT_EQ(s.write(block_bytes, block_bytes, 8), status::good);
    EXPECT_THAT(s.read(*s.channel, block_bytes, block_bytes), Each(8));
    EXPECT_EQ(s.tier->health(), "good");
  }
}

/// By the flash as well: else the next start finds data there that the medium does not wait for.
TEST(journal, what_was_lost_and_written_anew_is_forgotten_before_the_medium_is_free) {
  for (const bool passes : {false, true}) {
    journal_fixture s(5);
    s.open();
    s.control->stall();
    EXPECT_EQ(s.write(0, 4 * block_bytes, 7), status::good);
    s.world.sim().medium_error("/flash", offset_of(2), block_bytes);
    s.control->release();
    EXPECT_TRUE(s.settle());
    EXPECT_EQ(s.tier->core().lost_blocks(), 1U);
    if (passes) s.tier->begin_hand_over();
    s.world.sim().run_for(ns_per_s);
    EXPECT_EQ(s.write(block_bytes, block_bytes, 8), status::good);
    if (!passes) s.tier->begin_hand_over();
    EXPECT_TRUE(s.world.sim().run_until([&] { return s.tier->handed_over().has_value(); },
                                        s.world.sim().now_ns() + 10 * ns_per_s));
    s.lose_power();
    s.open();
    EXPECT_THAT(s.read(*s.channel, block_bytes, block_bytes), Each(8)) << passes;
  }
}

TEST(journal, flipped_bits_in_dirty_blocks_are_told_and_never_taken_for_data) {
  journal_fixture s(6);
  s.open();
  s.control->stall();
  for (std::uint64_t i = 0; i < 6; ++i) EXPECT_EQ(s.write(i * block_bytes, block_bytes, 7), status::good);
  s.lose_power();
  s.spoil_flash(superblock_copies + 1, 1);  // the first record's block; later records say that it was acknowledged
  s.open();
  EXPECT_TRUE(s.settle());
  EXPECT_EQ(s.tier->core().lost_blocks(), 1U);
  s.read(*s.channel, 0, block_bytes, status::medium_error);
  for (std::uint64_t i = 1; i < 6; ++i) EXPECT_THAT(s.read(*s.direct, i * block_bytes, block_bytes), Each(7));
}

TEST(journal, acknowledged_records_that_are_missing_are_not_passed_over) {
  journal_fixture s(7);
  s.open();
  s.control->stall();
  for (std::uint64_t i = 0; i < 8; ++i) EXPECT_EQ(s.write(i * block_bytes, block_bytes, 7), status::good);
  s.lose_power();
  s.spoil_flash(superblock_copies + 4, 1);  // the header of the third
  const auto refused = s.try_open();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("sluice cache resolve /flash --keep or --discard"));
  s.drop();
  const auto seen = s.with_flash([](auto& loop, auto handle) { return inspect(loop, handle); });
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->records, 2U);
  EXPECT_EQ(seen->dirty_bytes, 2 * block_bytes);
  EXPECT_NE(seen->damaged_from, 0U);
  EXPECT_TRUE(s.with_flash([](auto& loop, auto handle) { return resolve(loop, handle, decision::keep); }));
  s.open();
  EXPECT_TRUE(s.settle());
  EXPECT_THAT(s.read(*s.direct, 0, 2 * block_bytes), Each(7));
  EXPECT_THAT(s.read(*s.direct, 2 * block_bytes, 6 * block_bytes), Each(0));
}

TEST(journal, goes_on_with_one_copy_of_its_superblock_and_not_with_none) {
  journal_fixture s(8);
  s.open();
  s.control->stall();
  EXPECT_EQ(s.write(0, block_bytes, 7), status::good);
  s.lose_power();
  for (const std::uint64_t copy : {0, 1}) {
    s.spoil_flash(copy, 1);
    s.open();
    EXPECT_THAT(s.read(*s.channel, 0, block_bytes), Each(7));
    s.control->stall();
    s.lose_power();
  }
  s.spoil_flash(0, 2);
  const auto refused = s.try_open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::corrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("superblock"));
}

TEST(journal, a_start_that_fails_to_write_its_superblock_leaves_the_copy_that_is_whole) {
  for (std::uint64_t seed = 300; seed < 320; ++seed)
    for (const std::uint64_t torn : {0, 1}) {
      journal_fixture s(seed);
      s.open();
      s.control->stall();
      EXPECT_EQ(s.write(0, block_bytes, 7), status::good);
      s.lose_power();
      s.spoil_flash(torn, 1);
      s.world.sim().fail_writes("/flash", true);
      EXPECT_FALSE(s.try_open());
      s.drop();
      s.world.sim().fail_writes("/flash", false);
      s.open();
      EXPECT_THAT(s.read(*s.channel, 0, block_bytes), Each(7));
    }
}

TEST(journal, what_a_killed_process_left_in_caches_does_not_go_with_the_power_later) {
  unsigned found = 0;
  for (std::uint64_t seed = 200; seed < 240; ++seed) {
    SCOPED_TRACE(seed);
    journal_fixture s(seed);
    s.open();
    s.control->stall();
    EXPECT_EQ(s.write(0, block_bytes, 1), status::good);
    test_request cut(verb::write, block_bytes, block_bytes,
                     payload(s.random, std::vector<std::uint8_t>(block_bytes, 2)));
    s.channel->submit(cut);
    s.world.sim().run_for(40 * ns_per_us);
    s.world.sim().kill(0);
    s.drop();
    s.world.restart();
    s.open();
    s.control->stall();
    const bool is_there = s.tier->core().index.find(1).has_value();
    EXPECT_EQ(s.write(2 * block_bytes, block_bytes, 3), status::good);
    s.lose_power();
    s.open();
    EXPECT_THAT(s.read(*s.channel, 0, block_bytes), Each(1));
    if (is_there) {
      EXPECT_THAT(s.read(*s.channel, block_bytes, block_bytes), Each(2));
    }
    EXPECT_THAT(s.read(*s.channel, 2 * block_bytes, block_bytes), Each(3));
    found += is_there ? 1 : 0;
  }
  EXPECT_GT(found, 5U);
}

TEST(journal, the_medium_says_who_holds_data_for_it) {
  journal_fixture s(9);
  s.open();
  EXPECT_EQ(s.below->read_ownership()->holder, s.tier->holder());
  EXPECT_EQ(s.write(0, block_bytes, 7), status::good);
  EXPECT_TRUE(s.settle());
  s.close();
  auto file = *file::open_store({.path = "/image"}, s.world.loop());
  EXPECT_EQ(file->read_ownership()->holder, "") << "an orderly end with nothing on flash";
  file.reset();
  s.open();
  EXPECT_EQ(s.write(0, block_bytes, 8), status::good);
  s.close_dirty();
  file = *file::open_store({.path = "/image"}, s.world.loop());
  EXPECT_THAT(file->read_ownership()->holder, HasSubstr("/flash"));
}

TEST(journal, data_are_brought_to_their_own_medium_only) {
  journal_fixture s(10);
  s.open();
  EXPECT_EQ(s.write(0, block_bytes, 7), status::good);
  s.close_dirty();
  s.image = "/other";
  auto refused = s.try_open();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("it holds data of below"));
  EXPECT_THAT(refused.error().message, HasSubstr("--discard"));
  s.drop();
  // Flash that is new does not stand in for the one that holds the data.
  s.image = "/image";
  auto file = *file::open_store({.path = "/image"}, s.world.loop());
  const auto stranger = try_over(file, s.world.loop(), "/new flash", journal_bytes, record_blocks);
  ASSERT_FALSE(stranger);
  EXPECT_THAT(stranger.error().message, HasSubstr("lacks data that are in journal"));
  file.reset();
  EXPECT_TRUE(s.with_flash([](auto& loop, auto handle) { return resolve(loop, handle, decision::discard); }));
  s.open();
  EXPECT_THAT(s.read(*s.channel, 0, block_bytes), Each(0));
  EXPECT_TRUE(s.settle());
  s.close();
  EXPECT_EQ((*file::open_store({.path = "/image"}, s.world.loop()))->read_ownership()->holder, "");
}

TEST(journal, flash_with_data_is_neither_cut_nor_formatted) {
  journal_fixture s(11);
  s.open();
  EXPECT_EQ(s.write(0, block_bytes, 7), status::good);
  s.close_dirty();
  const auto use = [&](std::uint64_t octets) {
    return s.with_flash([&](auto& loop, auto handle) { return check_use(loop, handle, "/flash", octets); });
  };
  EXPECT_TRUE(use(journal_bytes));
  EXPECT_FALSE(use(0));
  ASSERT_FALSE(use(2 * journal_bytes));
  EXPECT_THAT(use(2 * journal_bytes).error().message, HasSubstr("resolve"));
  s.open();
  EXPECT_TRUE(s.settle());
  s.close();
  EXPECT_TRUE(use(0));
  EXPECT_TRUE(use(2 * journal_bytes));
}

TEST(journal, hands_over_with_nothing_left_and_goes_on_after_that) {
  journal_fixture s(12);
  s.open();
  s.control->stall();
  EXPECT_EQ(s.write(0, 16384, 7), status::good);
  s.tier->begin_hand_over();
  s.world.sim().run_for(ns_per_s);
  EXPECT_FALSE(s.tier->handed_over());
  // For the last of what there is to bring below, writers are held.
  test_request held(verb::write, 0, 4096, payload(s.random, std::vector<std::uint8_t>(4096, 8)));
  s.channel->submit(held);
  s.world.sim().run_for(ns_per_s);
  EXPECT_EQ(held.completions, 0);
  s.control->release();
  EXPECT_TRUE(s.world.sim().run_until([&] { return s.tier->handed_over().has_value(); },
                                      s.world.sim().now_ns() + 10 * ns_per_s));
  s.world.sim().run_for(ns_per_s);
  EXPECT_EQ(held.outcome, status::good);
  EXPECT_THAT(s.read(*s.direct, 0, 4096), Each(8));
  EXPECT_THAT(s.read(*s.direct, 4096, 12288), Each(7));
  EXPECT_EQ(s.write(4096, 4096, 9), status::good);
  EXPECT_THAT(s.read(*s.direct, 4096, 4096), Each(9)) << "nothing is held back";
  s.tier->take_over();
  s.world.sim().run_for(ns_per_ms);
  s.control->stall();
  EXPECT_EQ(s.write(8192, 4096, 10), status::good);
}

TEST(journal, goes_on_wherever_there_is_a_channel_when_others_go_one_after_the_other) {
  reactor::sim_world world(1);
  std::vector<std::unique_ptr<reactor::loop>> loops;
  for (unsigned i = 0; i < 3; ++i) loops.push_back(world.make_loop(i));
  auto tier = test_over(*file::open_store({.path = "/image", .size_bytes = size}, *loops[0]), *loops[0], "/flash",
                        journal_bytes, record_blocks);
  std::vector<std::unique_ptr<store::channel>> channels;
  for (const auto& each : loops) channels.push_back(tier->attach(*each));
  world.run_until([&] { return channels[0]->idle(); }, world.now_ns() + ns_per_s);  // it flushes what was below before
  // The owner is at the first; the second goes while the owner is on its way there.
  channels[0].reset();
  channels[1].reset();
  std::mt19937_64 random(1);
  test_request r(verb::write, 0, 4096, payload(random, std::vector<std::uint8_t>(4096, 7)));
  channels[2]->submit(r);
  world.run_for(ns_per_s);
  EXPECT_EQ(r.completions, 1);
  EXPECT_EQ(r.outcome, status::good);
  world.run_until([&] { return channels[2]->idle(); }, world.now_ns() + 10 * ns_per_s);
  channels.clear();
  tier.reset();
}

/// What was below before a start may wait in a cache there for a flush: a host's that comes by the journal, or the
/// journal's own, for hosts hear that they need none: what they write next must not be there without it.
TEST(journal, brings_to_the_medium_what_was_written_below_before_it_was_opened) {
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    journal_fixture s(seed);
    s.open();
    test_request before(verb::write, 0, 65536, payload(s.random, std::vector<std::uint8_t>(65536, 7)));
    ASSERT_EQ(s.run(*s.direct, before), status::good);
    s.close();
    s.open();
    if (seed % 2 == 0) {
      test_request flush(verb::flush, 0, 0);
      ASSERT_EQ(s.run(*s.channel, flush), status::good);
    } else {
      EXPECT_FALSE(s.tier->describe().volatile_cache);
      ASSERT_EQ(s.write(65536, 4096, 8), status::good);
    }
    s.lose_power();
    s.open();
    EXPECT_THAT(s.read(*s.channel, 0, 65536), Each(7)) << seed;
  }
}

TEST(journal, that_was_drained_lets_go_of_the_medium_also_when_the_process_crashes_then) {
  journal_fixture s(46);
  s.open();
  EXPECT_EQ(s.write(0, 16384, 7), status::good);
  EXPECT_THAT(s.below->read_ownership()->holder, HasSubstr("journal"));
  s.tier->begin_hand_over();
  EXPECT_TRUE(s.world.sim().run_until([&] { return s.tier->core().now == state::passing; },
                                      s.world.sim().now_ns() + 10 * ns_per_s));
  s.lose_power();
  s.open();
  s.lose_power();  // taken over, with nothing written
  {
    const auto file = file::open_store({.path = "/image", .size_bytes = size}, s.world.loop());
    EXPECT_THAT((*file)->read_ownership()->holder, HasSubstr("journal"));
  }
  s.open();
  s.tier->begin_hand_over();
  s.world.sim().run_for(ns_per_s);
  EXPECT_EQ(s.below->read_ownership()->holder, "");
}

TEST(journal, a_full_log_slows_its_writers_and_then_holds_them) {
  journal_fixture s(13);
  s.open();
  s.control->stall();
  std::vector<std::unique_ptr<test_request>> all;
  std::size_t done = 0;
  for (std::uint64_t i = 0; i < 400; ++i) {
    all.push_back(std::make_unique<test_request>(verb::write, i % 200 * block_bytes, block_bytes,
                                                 payload(s.random, std::vector<std::uint8_t>(block_bytes, 3))));
    all.back()->on_done = [&done] { ++done; };
    s.channel->submit(*all.back());
  }
  s.world.sim().run_for(5 * ns_per_s);
  EXPECT_LT(done, 400U);
  EXPECT_GT(done, 150U);
  EXPECT_GT(s.tier->core().figures.throttled_records.load(), 0U);
  s.control->release();
  EXPECT_TRUE(s.world.sim().run_until([&] { return done == 400; }, s.world.sim().now_ns() + 60 * ns_per_s));
  for (const auto& each : all) EXPECT_EQ(each->outcome, status::good);
}

TEST(journal, long_zeroes_pass_to_the_store_below_after_what_was_written_before) {
  journal_fixture s(14);
  s.open();
  EXPECT_EQ(s.write(0, 512 * kib, 7), status::good);
  test_request discard(verb::discard, 0, 512 * kib);
  EXPECT_EQ(s.run(*s.channel, discard), status::good);
  EXPECT_THAT(s.read(*s.direct, 0, 512 * kib), Each(0));
  EXPECT_EQ(s.write(4096, 4096, 8), status::good);
  EXPECT_TRUE(s.settle());
  EXPECT_THAT(s.read(*s.direct, 4096, 4096), Each(8));
}

/// What was a whole block up to the store's end when it came is a part of one when it is written.
TEST(journal, a_store_that_grows_while_its_last_block_waits_to_be_written) {
  for (const std::uint64_t first : {size, size - 512}) {
    SCOPED_TRACE(first);
    journal_fixture s(17);
    s.open();
    EXPECT_TRUE(s.tier->resize(size + 512));
    EXPECT_EQ(s.write(size - 4096, 4096 + 512, 5), status::good);
    s.world.sim().options().disk_latency_ns = {10 * ns_per_ms, 10 * ns_per_ms};
    std::vector<std::unique_ptr<test_request>> all;
    const auto submit = [&](std::uint64_t offset, std::uint64_t length) {
      all.push_back(std::make_unique<test_request>(verb::write, offset, length,
                                                   payload(s.random, std::vector<std::uint8_t>(length, 6))));
      s.channel->submit(*all.back());
      s.world.sim().run_for(ns_per_ms);
    };
    // One that reads the rest of its first block is ready when all records are under way; the other one comes then.
    if (first != size) submit(first, size + 512 - first);
    s.world.sim().run_for(4 * ns_per_ms);
    for (std::uint64_t i = 0; i < 4; ++i) submit(i * 4096, 4096);
    if (first == size) submit(first, size + 512 - first);
    s.world.sim().run_for(2 * ns_per_ms);
    EXPECT_TRUE(s.tier->resize(size + 4096));
    s.world.sim().run_for(ns_per_s);
    for (const auto& each : all) EXPECT_EQ(each->outcome, status::good);
    for (store::channel* where : {s.channel.get(), s.direct.get()}) {
      EXPECT_THAT(s.read(*where, size - 4096, first - size + 4096), Each(5));
      EXPECT_THAT(s.read(*where, first, size + 512 - first), Each(6));
      EXPECT_THAT(s.read(*where, size + 512, 4096 - 512), Each(0));
      EXPECT_TRUE(s.settle());
    }
  }
}

TEST(journal, short_zeroes_take_no_writes_of_zeroes_to_flash) {
  journal_fixture s(15);
  s.open();
  EXPECT_EQ(s.write(0, 64 * kib, 7), status::good);
  const std::uint64_t before = s.tier->core().figures.written_bytes.load();
  test_request zeroes(verb::write_zeroes, 0, 20 * kib);
  EXPECT_EQ(s.run(*s.channel, zeroes), status::good);
  EXPECT_EQ(s.tier->core().figures.written_bytes.load(), before + block_bytes);
  EXPECT_THAT(s.read(*s.channel, 0, 20 * kib), Each(0));
  EXPECT_THAT(s.read(*s.channel, 20 * kib, 4 * kib), Each(7));
  EXPECT_TRUE(s.settle());
  EXPECT_THAT(s.read(*s.direct, 0, 20 * kib), Each(0));
}

}  // namespace
}  // namespace sluice::journal
