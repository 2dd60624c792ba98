#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "tiers/cache/test_setup.hpp"
#include "tiers/fault/fault_store.hpp"
#include "tiers/file/file_store.hpp"
#include "tiers/store/contract_simulated.hpp"

/// A cache that gets another journal, on one core: what is refused, what stays as it was then, and what is promised
/// meanwhile.
namespace sluice::cache {
namespace {

using sluice::store::status;
using sluice::store::verb;
using sluice::store::contract::payload;
using sluice::store::contract::test_request;
using testing::Each;
using testing::HasSubstr;

class change_fixture {
 public:
  static constexpr std::uint64_t size = 1 * mib;

  explicit change_fixture(const options& first) { open(first); }
  ~change_fixture() {
    world.sim().crash();
    drop();
  }

  void open(const options& wanted) {
    auto faults = std::make_shared<fault::fault_store>(
        *file::open_store({.path = "/image", .size_bytes = size}, world.loop()), fault::chances{.seed = 1});
    control = faults->control();
    below = faults;
    const auto opened = cache_store::open(below, wanted, &world.loop());
    ASSERT_TRUE(opened) << opened.error().message;
    cache = *opened;
    cache->on_change([this] { told = true; });
    direct = below->attach(world.loop());
    channel = cache->attach(world.loop());
    cache->take_over();
    settle();
  }
  void lose_power() {
    world.sim().crash();
    drop();
    world.restart();
  }
  void drop() {
    channel.reset();
    direct.reset();
    cache.reset();
    below.reset();
  }
  /// A while, with the control thread at hand when something changes by itself.
  void settle(std::uint64_t ns = 100 * ns_per_ms) {
    const std::uint64_t until = world.sim().now_ns() + ns;
    while (world.sim().now_ns() < until) {
      world.sim().run_for(ns_per_ms);
      if (std::exchange(told, false)) cache->take_over();
    }
  }
  bool hands_over() {
    cache->begin_hand_over();
    return world.sim().run_until([&] { return cache->handed_over().has_value(); },
                                 world.sim().now_ns() + 10 * ns_per_s);
  }
  void change(const options& wanted) {
    const auto ready = cache->prepare(wanted);
    ASSERT_TRUE(ready) << ready.error().message;
    ASSERT_TRUE(ready->after_hand_over);
    ASSERT_TRUE(hands_over());
    (*ready)();
    cache->take_over();
    settle();
  }
  std::string refusal(const options& wanted) {
    const auto ready = cache->prepare(wanted);
    return ready ? "" : ready.error().message;
  }
  status run(sluice::store::channel& on, test_request& r) {
    bool done = false;
    r.on_done = [&] { done = true; };
    on.submit(r);
    world.sim().run_until([&] { return done; }, world.sim().now_ns() + 60 * ns_per_s);
    EXPECT_TRUE(done);
    return r.outcome;
  }
  std::vector<std::uint8_t> read(sluice::store::channel& on, status expected = status::good) {
    test_request r(verb::read, 0, 8192, payload(random, std::vector<std::uint8_t>(8192, 0xee)));
    EXPECT_EQ(run(on, r), expected);
    return r.content();
  }
  status write(std::uint8_t octet) {
    test_request r(verb::write, 0, 8192, payload(random, std::vector<std::uint8_t>(8192, octet)));
    return run(*channel, r);
  }
  status flush() {
    test_request r(verb::flush, 0, 0);
    return run(*channel, r);
  }
  std::string state() const {
    for (const auto& each : cache->figures())
      if (each.name == "journal_state") return std::get<std::string>(each.value);
    return "none";
  }
  double dirty() const { return figure_of(*cache, "dirty_bytes"); }

  sluice::store::contract::simulated_world world{1};
  std::mt19937_64 random{1};
  bool told = false;
  std::shared_ptr<fault::fault_control> control;
  std::shared_ptr<sluice::store::store> below;
  std::shared_ptr<cache_store> cache;
  std::unique_ptr<sluice::store::channel> direct, channel;
};

options plain() {
  options wanted;
  wanted.ram_bytes = 128 * kib;
  wanted.record_blocks = 8;
  wanted.medium = "below";
  wanted.destage_delay_ns = 60 * ns_per_s;
  return wanted;
}
options on_flash(const std::string& path = "/flash", std::uint64_t dirty_bytes = 66 * block_bytes) {
  options wanted = plain();
  wanted.mode = &write_back;
  wanted.flash = {path, 1 * mib, 8, 8, true, dirty_bytes};
  return wanted;
}
options in_memory() {
  options wanted = plain();
  wanted.mode = &write_back;
  wanted.volatile_dirty_bytes = 66 * block_bytes;
  return wanted;
}

TEST(journal_change, what_cannot_be_had_is_refused_before_anything_is_drained) {
  change_fixture s(on_flash());
  EXPECT_EQ(s.write(7), status::good);
  options absent = on_flash("/absent");
  absent.flash.size_bytes = 0;
  EXPECT_THAT(s.refusal(absent), HasSubstr("flash.path: "));
  const auto held = s.world.loop().open_file("/held", {.create = true, .exclusive = true});
  EXPECT_THAT(s.refusal(on_flash("/held")), HasSubstr("is in use"));
  EXPECT_THAT(s.refusal(on_flash("/flash", 1 * mib)), HasSubstr("too small"));
  EXPECT_THAT(s.refusal(on_flash("/flash", 16 * block_bytes)), HasSubstr("too small for a journal"));
  EXPECT_EQ(s.state(), "journaling");
  EXPECT_EQ(s.dirty(), 8192);
  EXPECT_THAT(s.read(*s.direct), Each(0));
  EXPECT_THAT(s.read(*s.channel), Each(7));
  s.world.loop().close(*held);
}

TEST(journal_change, flash_with_data_of_another_medium_is_refused) {
  change_fixture s(on_flash("/flash2"));
  EXPECT_EQ(s.write(7), status::good);
  s.lose_power();
  s.world.sim().remove_file("/image");
  s.open(on_flash());
  EXPECT_THAT(s.refusal(on_flash("/flash2")), HasSubstr("holds data of below"));
}

TEST(journal_change, nothing_has_changed_when_the_store_below_does_not_take_what_is_held) {
  change_fixture s(on_flash());
  s.control->stall();
  EXPECT_EQ(s.write(7), status::good);
  {
    const auto ready = s.cache->prepare(on_flash("/flash2"));
    ASSERT_TRUE(ready && ready->after_hand_over);
    EXPECT_FALSE(s.hands_over());
    EXPECT_EQ(s.cache->handed_over().error().code, errc::busy);
    s.cache->take_over();
  }
  EXPECT_EQ(s.write(8), status::good) << "which is journaled again";
  s.lose_power();
  s.open(on_flash());
  EXPECT_THAT(s.read(*s.channel), Each(8));
}

TEST(journal_change, what_was_held_is_below_and_what_comes_is_held_again) {
  change_fixture s(on_flash());
  std::uint8_t octet = 1;
  options through = on_flash("/flash2");
  through.mode = &write_through;
  for (const options& wanted : {on_flash("/flash", 98 * block_bytes), on_flash("/flash2", 98 * block_bytes),
                                in_memory(), on_flash(), plain(), on_flash(), through, on_flash()}) {
    SCOPED_TRACE(int{octet});
    EXPECT_EQ(s.write(octet), status::good);
    s.change(wanted);
    EXPECT_EQ(s.state(), !wanted.has_journal() ? "none" : wanted.mode->journals ? "journaling" : "passing");
    EXPECT_THAT(s.read(*s.direct), Each(octet));
    EXPECT_THAT(s.read(*s.channel), Each(octet));
    EXPECT_EQ(s.write(++octet), status::good);
    EXPECT_THAT(s.read(*s.direct), Each(wanted.mode->journals ? octet - 1 : octet));
    EXPECT_THAT(s.read(*s.channel), Each(octet));
  }
}

TEST(journal_change, flash_that_cannot_be_written_any_more_leaves_a_cache_that_passes_on) {
  change_fixture s(on_flash());
  EXPECT_EQ(s.write(7), status::good);
  {
    const auto ready = s.cache->prepare(on_flash("/flash", 98 * block_bytes));
    ASSERT_TRUE(ready);
    ASSERT_TRUE(s.hands_over());
    s.world.sim().fail_writes("/flash", true);
    (*ready)();
  }
  s.cache->take_over();
  s.settle();
  EXPECT_EQ(s.state(), "passing");
  EXPECT_THAT(s.cache->health(), HasSubstr("the superblock cannot be written"));
  EXPECT_EQ(s.write(8), status::good);
  s.lose_power();
  s.world.sim().fail_writes("/flash", false);
  s.open(on_flash("/flash", 98 * block_bytes));
  EXPECT_THAT(s.read(*s.channel), Each(8));
}

TEST(journal_change, flash_that_failed_gives_way_to_other_flash) {
  change_fixture s(on_flash());
  EXPECT_EQ(s.write(7), status::good);
  s.world.sim().fail_writes("/flash", true);
  EXPECT_EQ(s.write(8), status::good);
  const std::uint32_t failures = s.cache->describe().failures;
  EXPECT_EQ(failures, 1U);
  s.change(on_flash("/flash2"));
  EXPECT_EQ(s.state(), "journaling");
  EXPECT_EQ(s.cache->health(), "good");
  EXPECT_EQ(s.cache->describe().failures, failures) << "which initiators have been told of";
  EXPECT_THAT(s.read(*s.channel), Each(8));
}

TEST(journal_change, a_flush_reaches_what_was_written_before_there_was_a_journal) {
  change_fixture s(plain());
  EXPECT_EQ(s.write(7), status::good);
  EXPECT_TRUE(s.cache->describe().volatile_cache);
  {
    const auto ready = s.cache->prepare(on_flash());
    ASSERT_TRUE(ready);
    ASSERT_TRUE(s.hands_over());
    (*ready)();
  }
  s.control->fail_next(verb::flush, 1000, status::medium_error);
  s.cache->take_over();
  s.settle();
  EXPECT_EQ(s.state(), "passing") << "until it is durable";
  EXPECT_TRUE(s.cache->describe().volatile_cache);
  EXPECT_EQ(s.flush(), status::medium_error);
  s.control->fail_next(verb::flush, 0, status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.settle();
  EXPECT_EQ(s.state(), "journaling");
  EXPECT_FALSE(s.cache->describe().volatile_cache);
  s.lose_power();
  s.open(on_flash());
  EXPECT_THAT(s.read(*s.channel), Each(7));
}

TEST(journal_change, less_is_promised_before_it_is_kept_and_more_only_after) {
  change_fixture s(on_flash());
  EXPECT_FALSE(s.cache->describe().volatile_cache);
  const auto to_memory = s.cache->prepare(in_memory());
  ASSERT_TRUE(to_memory && s.hands_over());
  EXPECT_FALSE(s.cache->describe().volatile_cache);
  (*to_memory)();
  EXPECT_TRUE(s.cache->describe().volatile_cache);
  EXPECT_EQ(s.write(7), status::good) << "for somebody who has not heard yet";
  EXPECT_THAT(s.read(*s.direct), Each(7));
  s.cache->take_over();
  s.settle();
  EXPECT_TRUE(s.cache->describe().volatile_cache);
  const auto back = s.cache->prepare(on_flash());
  ASSERT_TRUE(back && s.hands_over());
  (*back)();
  s.cache->take_over();
  EXPECT_TRUE(s.cache->describe().volatile_cache);
  s.settle();
  EXPECT_FALSE(s.cache->describe().volatile_cache);
}

TEST(journal_change, needs_no_unit_when_nothing_is_held) {
  change_fixture s(on_flash());
  EXPECT_EQ(s.write(7), status::good);
  s.channel.reset();
  s.cache->begin_hand_over();
  const auto dirty = s.cache->handed_over();
  ASSERT_FALSE(dirty);
  EXPECT_THAT(dirty.error().message, HasSubstr("give it a unit first"));
  s.channel = s.cache->attach(s.world.loop());
  EXPECT_TRUE(s.hands_over());
  s.cache->take_over();
  s.settle();
  s.channel.reset();
  s.change(on_flash("/flash2"));
  s.channel = s.cache->attach(s.world.loop());
  s.settle();
  EXPECT_EQ(s.state(), "journaling");
  EXPECT_THAT(s.read(*s.channel), Each(7));
}

TEST(journal_change, what_was_to_be_written_below_is_there_when_the_journal_is_another) {
  change_fixture s(on_flash());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(s.write(7), status::good);
  const std::uint64_t mark = s.cache->destage();
  s.change(on_flash("/flash2"));
  EXPECT_EQ(s.cache->undestaged_bytes(mark), 0U);
  EXPECT_EQ(s.write(8), status::good);
  EXPECT_NE(s.cache->undestaged_bytes(s.cache->destage()), 0U);
  s.settle();
}

TEST(journal_change, a_shorter_delay_takes_effect_at_once) {
  change_fixture s(on_flash());
  EXPECT_EQ(s.write(7), status::good);
  s.settle(10 * ns_per_s);
  EXPECT_EQ(s.dirty(), 8192);
  options wanted = on_flash();
  wanted.destage_delay_ns = 10 * ns_per_ms;
  const auto ready = s.cache->prepare(wanted);
  ASSERT_TRUE(ready);
  EXPECT_FALSE(ready->after_hand_over);
  (*ready)();
  s.settle();
  EXPECT_EQ(s.dirty(), 0);
  EXPECT_THAT(s.read(*s.direct), Each(7));
}

TEST(journal_change, waits_for_a_decision_about_lost_blocks) {
  change_fixture s(on_flash());
  EXPECT_EQ(s.write(7), status::good);
  s.world.sim().faults("/flash").gone = true;
  s.cache->destage();
  s.settle(ns_per_s);
  EXPECT_EQ(figure_of(*s.cache, "lost_blocks"), 2);
  s.cache->begin_hand_over();
  const auto never = s.cache->handed_over();
  ASSERT_FALSE(never);
  EXPECT_NE(never.error().code, errc::busy);
  EXPECT_THAT(never.error().message, HasSubstr("sluice cache resolve --store NAME --discard"));
  s.cache->take_over();
  s.read(*s.channel);  // from RAM
  EXPECT_EQ(s.cache->give_up_lost().value_or(0), 8192U);
  s.change(on_flash("/flash2"));
  EXPECT_EQ(s.state(), "journaling");
  EXPECT_THAT(s.read(*s.channel), Each(0)) << "as it is below";
}

TEST(journal_change, a_start_with_other_sizes_goes_on_from_a_journal_that_holds_nothing) {
  change_fixture s(on_flash());
  s.lose_power();
  EXPECT_THAT((*file::open_store({.path = "/image"}, s.world.loop()))->read_ownership()->holder, HasSubstr("journal"));
  s.open(on_flash("/flash", 98 * block_bytes));
  EXPECT_EQ(s.state(), "journaling");
}

}  // namespace
}  // namespace sluice::cache
