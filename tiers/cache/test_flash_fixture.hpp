#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "tiers/cache/test_setup.hpp"
#include "tiers/file/file_store.hpp"
#include "tiers/store/contract_simulated.hpp"

namespace sluice::cache {

/// A cache with flash over a file, on one core.
class flash_fixture {
 public:
  using status = sluice::store::status;
  using verb = sluice::store::verb;
  using payload = sluice::store::contract::payload;
  using test_request = sluice::store::contract::test_request;

  static constexpr std::uint64_t size = 1 * mib;

  explicit flash_fixture(std::uint64_t seed, std::uint64_t flash_bytes = 512 * kib, std::uint64_t ram_bytes = 64 * kib,
                         const mode& how = write_through)
      : world(seed), random(seed), flash_bytes_(flash_bytes), ram_bytes_(ram_bytes), mode_(how) {}
  ~flash_fixture() { close(); }

  result<std::shared_ptr<cache_store>> try_open() {
    below.reset();
    below = *file::open_store({.path = "/image", .size_bytes = size}, world.loop());
    if (wrap) below = wrap(below);
    return cache_store::open(below, now(), &world.loop());
  }
  void open() {
    const auto opened = try_open();
    ASSERT_TRUE(opened) << opened.error().message;
    store = *opened;
    store->take_over();
    direct = below->attach(world.loop());
    channel = store->attach(world.loop());
    settle();
  }
  /// Until the flash is ready, or has failed, and nothing is under way.
  void settle() {
    world.sim().run_until([&] { return channel->idle(); }, world.sim().now_ns() + 10 * ns_per_s);
  }
  void close() {
    if (channel) settle();
    drop();
  }
  void drop() {
    channel.reset();
    direct.reset();
    store.reset();
    below.reset();
  }
  /// Without a loss: the gateway ended and starts anew.
  void restart() {
    close();
    open();
  }
  void lose_power() {
    world.sim().crash();
    drop();
    world.restart();
  }
  /// The process ends at once; what it had written stays in caches.
  void kill() {
    world.sim().kill(0);
    drop();
    world.restart();
  }
  status run(sluice::store::channel& on, test_request& r) {
    bool done = false;
    r.on_done = [&] { done = true; };
    on.submit(r);
    world.sim().run_until([&] { return done; }, world.sim().now_ns() + 60 * ns_per_s);
    EXPECT_TRUE(done);
    return r.outcome;
  }
  std::vector<std::uint8_t> read(sluice::store::channel& on, std::uint64_t offset, std::uint64_t length) {
    test_request r(verb::read, offset, length, payload(random, std::vector<std::uint8_t>(length, 0xee)));
    EXPECT_EQ(run(on, r), status::good);
    return r.content();
  }
  /// Expects the cache to read what the store below holds. Block by block: where one is missing, all of a read goes
  /// below.
  void compare() {
    const auto expected = read(*direct, 0, size);
    for (std::uint64_t at = 0; at < size && !testing::Test::HasFailure(); at += block_bytes)
      EXPECT_TRUE(std::ranges::equal(read(*channel, at, block_bytes), std::span(expected).subspan(at, block_bytes)))
          << "at " << at;
  }
  status write(std::uint64_t offset, std::uint64_t length, std::uint8_t octet, bool fua = false) {
    test_request r(verb::write, offset, length, payload(random, std::vector<std::uint8_t>(length, octet)));
    r.fua = fua;
    return run(*channel, r);
  }
  status flush() {
    test_request r(verb::flush, 0, 0);
    return run(*channel, r);
  }
  /// Reads a working set that fits the flash, but not RAM, until it is there.
  void warm(std::uint64_t octets = 256 * kib) {
    for (int round = 0; round < 6; ++round)
      for (std::uint64_t at = 0; at < octets; at += 4096) read(*channel, at, 4096);
    settle();
  }
  void change(const options& wanted, bool anew = false) {
    const auto ready = static_cast<cache_store&>(*store).prepare(wanted, anew);
    ASSERT_TRUE(ready) << ready.error().message;
    (*ready)();
    world.sim().run_for(5 * ns_per_ms);  // every loop hears of it
    settle();
  }
  options now() const {
    options wanted;
    wanted.ram_bytes = ram_bytes_;
    wanted.bypass_bytes = 0;
    wanted.prefetch_bytes = 0;
    wanted.mode = &mode_;
    if (!flash_path.empty()) wanted.flash = {flash_path, flash_bytes_, 8, 8};
    wanted.offload = offload;
    return wanted;
  }
  double figure(const char* name) const { return figure_of(*store, name); }

  sluice::store::contract::simulated_world world;
  std::mt19937_64 random;
  std::string flash_path = "/flash";  // empty: the cache has none
  reactor::offload offload;           // for calls that block; empty: at once
  std::function<std::shared_ptr<sluice::store::store>(std::shared_ptr<sluice::store::store>)> wrap;  // the medium
  std::shared_ptr<sluice::store::store> below, store;
  std::unique_ptr<sluice::store::channel> direct, channel;

 private:
  const std::uint64_t flash_bytes_, ram_bytes_;
  const mode& mode_;
};

}  // namespace sluice::cache
