#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tiers/fault/fault_store.hpp"
#include "tiers/file/file_store.hpp"
#include "tiers/journal/test_setup.hpp"
#include "tiers/store/contract_simulated.hpp"

/// A journal over a file in a simulated world, where flash and what lies below fail at will.
namespace sluice::journal {

using store::status;
using store::verb;
using store::contract::payload;
using store::contract::simulated_world;
using store::contract::test_request;

inline constexpr std::uint64_t size = 1 * mib;
inline constexpr std::uint32_t record_blocks = 8;
inline constexpr std::uint64_t journal_bytes = (2 + 32 * record_blocks) * block_bytes;

class journal_fixture {
 public:
  explicit journal_fixture(std::uint64_t seed) : world(seed), random(seed) {}
  ~journal_fixture() {
    world.sim().crash();
    drop();
  }

  result<std::shared_ptr<journal_store>> try_open() {
    auto file = file::open_store({.path = image, .size_bytes = size}, world.loop());
    if (!file) return tl::unexpected(file.error());
    auto faults = std::make_shared<fault::fault_store>(*file, fault::chances{.seed = 1});
    control = faults->control();
    below = faults;
    if (is_volatile) return try_volatile_over(below, world.loop(), journal_bytes, record_blocks);
    return try_over(below, world.loop(), "/flash", journal_bytes, record_blocks, offload);
  }
  void open() {
    auto opened = try_open();
    ASSERT_TRUE(opened) << opened.error().message;
    tier = *opened;
    direct = below->attach(world.loop());
    channel = tier->attach(world.loop());
    tier->take_over();
    world.sim().run_for(ns_per_ms);
  }
  void close() {
    ASSERT_TRUE(world.sim().run_until([&] { return channel->idle(); }, world.sim().now_ns() + 10 * ns_per_s));
    drop();
  }
  void drop() {
    channel.reset();
    direct.reset();
    tier.reset();
    below.reset();
  }
  void lose_power() {
    world.sim().crash();
    drop();
    world.restart();
  }
  /// The gateway ends while the store below takes nothing: what was written is on flash only.
  void close_dirty() {
    control->stall();
    lose_power();
  }
  status run(store::channel& on, test_request& r) {
    bool done = false;
    r.on_done = [&] { done = true; };
    on.submit(r);
    world.sim().run_until([&] { return done; }, world.sim().now_ns() + 60 * ns_per_s);
    EXPECT_TRUE(done);
    return r.outcome;
  }
  std::vector<std::uint8_t> read(store::channel& on, std::uint64_t offset, std::uint64_t length,
                                 status expected = status::good) {
    test_request r(verb::read, offset, length, payload(random, std::vector<std::uint8_t>(length, 0xee)));
    EXPECT_EQ(run(on, r), expected);
    return r.content();
  }
  status write(std::uint64_t offset, std::uint64_t length, std::uint8_t octet) {
    test_request r(verb::write, offset, length, payload(random, std::vector<std::uint8_t>(length, octet)));
    return run(*channel, r);
  }
  /// Until nothing is on flash only.
  bool settle(std::uint64_t limit_ns = 30 * ns_per_s) {
    return world.sim().run_until([&] { return tier->core().records.empty() && tier->core().index.empty(); },
                                 world.sim().now_ns() + limit_ns);
  }
  /// Flips a bit of each of these blocks of the flash.
  void spoil_flash(std::uint64_t first, std::uint64_t count) {
    auto opened = world.loop().open_file("/flash", {});
    ASSERT_TRUE(opened);
    std::vector<std::uint8_t> octets(block_bytes);
    for (std::uint64_t block = first; block < first + count; ++block) {
      ASSERT_TRUE(world.loop().read_now(*opened, octets, block * block_bytes));
      octets[block * 37 % block_bytes] ^= 1;
      ASSERT_TRUE(world.loop().write_now(*opened, octets, block * block_bytes));
    }
    world.loop().close(*opened);
  }
  template <class Work>
  auto with_flash(Work work) {
    auto opened = world.loop().open_file("/flash", {});
    EXPECT_TRUE(opened);
    auto made = work(world.loop(), *opened);
    world.loop().close(*opened);
    return made;
  }

  simulated_world world;
  std::mt19937_64 random;
  std::string image = "/image";
  bool is_volatile = false;
  reactor::offload offload;  // for calls that block; empty: at once
  std::shared_ptr<fault::fault_control> control;
  std::shared_ptr<store::store> below;
  std::shared_ptr<journal_store> tier;
  std::unique_ptr<store::channel> direct, channel;
};

}  // namespace sluice::journal
