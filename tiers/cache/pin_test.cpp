#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "config/schema/values.hpp"
#include "tiers/cache/register.hpp"
#include "tiers/cache/test_setup.hpp"
#include "tiers/file/file_store.hpp"
#include "tiers/store/contract_simulated.hpp"

/// Pinned ranges: fetched ahead, and never evicted by others.
namespace sluice::cache {
namespace {

using sluice::store::status;
using sluice::store::verb;
using sluice::store::contract::payload;
using sluice::store::contract::simulated_world;
using sluice::store::contract::test_request;
using testing::HasSubstr;

TEST(pin_set, is_sorted_and_merged) {
  const pin_set pins({{10, 20}, {0, 5}, {15, 30}, {7, 7}, {5, 6}});
  EXPECT_EQ(pins.ranges(), (std::vector<pin_set::range>{{0, 6}, {10, 30}}));
  EXPECT_EQ(pins.blocks(), 26U);
  for (const block_number in : {0, 5, 10, 29}) EXPECT_TRUE(pins.contains(in)) << in;
  for (const block_number out : {6, 9, 30}) EXPECT_FALSE(pins.contains(out)) << out;
  EXPECT_FALSE(pin_set().contains(0));
}

TEST(s3_fifo, gives_pinned_blocks_back_to_nobody) {
  s3_fifo policy(16);
  for (slot s = 0; s < 16; ++s) policy.admitted(s, s);
  policy.pin(std::make_shared<pin_set>(std::vector<pin_set::range>{{0, 4}, {100, 104}}));
  EXPECT_EQ(policy.pinned(), 4U);
  block_number next = 1000;
  for (int i = 0; i < 200; ++i) {
    const slot s = policy.victim(next);
    EXPECT_GE(s, 4U);
    policy.admitted(s, next++);
  }
  for (block_number pinned = 100; pinned < 104; ++pinned) policy.admitted(policy.victim(pinned), pinned);
  EXPECT_EQ(policy.pinned(), 8U);
  policy.pin(nullptr);
  EXPECT_EQ(policy.pinned(), 0U);
  for (int i = 0; i < 16; ++i) policy.victim(next);
}

TEST(s3_fifo, leaves_a_quarter_to_what_is_not_pinned) {
  s3_fifo policy(16);
  policy.pin(std::make_shared<pin_set>(std::vector<pin_set::range>{{0, 1000}}));
  for (slot s = 0; s < 16; ++s) policy.admitted(s, s);
  EXPECT_EQ(policy.pinned(), 12U);
  for (block_number next = 16; next < 200; ++next) policy.admitted(policy.victim(next), next);
  EXPECT_EQ(policy.pinned(), 12U);
}

class pinned : public testing::Test {
 protected:
  static constexpr std::uint64_t size = 48 * mib;
  void open(std::vector<pin_set::range> ranges) {
    below_ = *file::open_store({.path = "/image", .size_bytes = size}, world_.loop());
    wanted_.ram_bytes = 16 * mib;
    wanted_.bypass_bytes = 0;
    wanted_.pins = pin_set(std::move(ranges));
    store_ = *cache_store::open(below_, wanted_);
    channel_ = store_->attach(world_.loop());
  }
  ~pinned() override { channel_.reset(); }
  void run(test_request& r) {
    bool done = false;
    r.on_done = [&] { done = true; };
    channel_->submit(r);
    world_.sim().run_until([&] { return done; }, world_.sim().now_ns() + 10 * ns_per_s);
    ASSERT_EQ(r.outcome, status::good);
  }
  std::vector<std::uint8_t> read(std::uint64_t offset, std::uint64_t length) {
    test_request r(verb::read, offset, length, payload(random_, std::vector<std::uint8_t>(length, 0xee)));
    run(r);
    return r.content();
  }
  void write(std::uint64_t offset, std::uint64_t length, std::uint8_t octet) {
    test_request r(verb::write, offset, length, payload(random_, std::vector<std::uint8_t>(length, octet)));
    run(r);
  }
  bool hits(std::uint64_t offset, std::uint64_t length) {
    test_request r(verb::read, offset, length, payload(random_, std::vector<std::uint8_t>(length)));
    status outcome;
    return channel_->try_now(r, outcome);
  }
  double figure(const char* name) const { return figure_of(*store_, name); }
  void scan() {
    for (std::uint64_t at = 4 * mib; at < size; at += 4096) read(at, 4096);
  }
  void change() { (*store_->prepare(wanted_))(); }

  simulated_world world_{7};
  std::mt19937_64 random_{7};
  options wanted_;
  std::shared_ptr<sluice::store::store> below_;
  std::shared_ptr<cache_store> store_;
  std::unique_ptr<sluice::store::channel> channel_;
};

TEST_F(pinned, blocks_are_fetched_ahead_and_stay) {
  open({{0, 128}});
  world_.sim().run_for(ns_per_s);
  EXPECT_EQ(figure("pinned_bytes"), 512 * kib);
  EXPECT_EQ(figure("pinned_resident_bytes"), 512 * kib);
  EXPECT_EQ(figure("read_blocks"), 0) << "nobody asked";
  scan();
  EXPECT_TRUE(hits(0, 512 * kib));
  write(64 * kib, 64 * kib, 9);
  scan();
  EXPECT_TRUE(hits(64 * kib, 64 * kib));
  EXPECT_THAT(read(64 * kib, 64 * kib), testing::Each(9));
}

TEST_F(pinned, ranges_change_while_the_cache_runs) {
  open({{0, 128}});
  world_.sim().run_for(ns_per_s);
  read(8 * mib, 4096);
  wanted_.pins = pin_set({{256, 384}});
  change();
  world_.sim().run_for(2 * ns_per_s);
  EXPECT_TRUE(hits(0, 4096)) << "what was pinned is still there";
  EXPECT_EQ(figure("pinned_resident_bytes"), 512 * kib);
  scan();
  EXPECT_TRUE(hits(mib, 512 * kib));
  wanted_.pins = {};
  wanted_.ram_bytes = 8 * mib;
  change();
  world_.sim().run_for(ns_per_s);
  EXPECT_EQ(figure("pinned_bytes"), 0);
  wanted_.pins = pin_set({{0, 64}});
  wanted_.ram_bytes = 16 * mib;
  change();
  world_.sim().run_for(2 * ns_per_s);
  EXPECT_TRUE(hits(0, 256 * kib));
}

TEST_F(pinned, blocks_that_got_lost_come_back) {
  open({{0, 32}});
  world_.sim().run_for(ns_per_s);
  test_request gone(verb::discard, 0, 64 * kib);
  run(gone);
  EXPECT_FALSE(hits(0, 4096));
  world_.sim().run_for(2 * ns_per_s);
  EXPECT_TRUE(hits(0, 128 * kib));
  EXPECT_THAT(read(0, 64 * kib), testing::Each(0));
}

TEST_F(pinned, beyond_the_end_is_nothing_to_fetch) {
  open({{size / 4096 - 8, size / 4096 + 1000}, {1 << 20, (1 << 20) + 10}});
  world_.sim().run_for(3 * ns_per_s);
  EXPECT_TRUE(hits(size - 32 * kib, 32 * kib));
  EXPECT_EQ(figure("pinned_resident_bytes"), 32 * kib);
}

TEST_F(pinned, nothing_is_fetched_while_the_channel_is_about_to_go) {
  open({{0, 256}});
  world_.sim().run_until([&] { return channel_->idle(); }, world_.sim().now_ns() + ns_per_s);
  EXPECT_TRUE(channel_->idle());
  const double resident = figure("pinned_resident_bytes");
  world_.sim().run_for(5 * ns_per_s);
  EXPECT_EQ(figure("pinned_resident_bytes"), resident);
  read(8 * mib, 4096);
  world_.sim().run_for(5 * ns_per_s);
  EXPECT_EQ(figure("pinned_resident_bytes"), 1 * mib);
}

TEST(pin_key, is_bounded) {
  config::values keys;
  keys.set("ram", std::uint64_t{2} * gib);
  keys.set("pin", std::vector<std::string>{"0B+1000MiB", "1GiB+24MiB"});
  ASSERT_TRUE(read_options(keys));
  EXPECT_EQ(read_options(keys)->pins.blocks(), 1024 * mib / block_bytes);
  keys.set("pin", std::vector<std::string>{"1B+1GiB"});
  const auto refused = read_options(keys);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("at most half of ram can be, 1GiB"));
}

}  // namespace
}  // namespace sluice::cache
