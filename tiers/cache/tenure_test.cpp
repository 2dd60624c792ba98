#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "tiers/cache/test_flash_fixture.hpp"

/// Caches over a medium that gateways share: each keeps blocks only while it has the medium, and believes nothing of
/// before.
namespace sluice::cache {
namespace {

using sluice::store::status;
using sluice::store::verb;
using sluice::store::contract::payload;
using sluice::store::contract::test_request;

/// A fixture whose cache is that of a gateway which does not own the unit yet.
struct shared_fixture : flash_fixture {
  explicit shared_fixture(std::uint64_t seed, const char* flash = "/flash") : flash_fixture(seed) {
    flash_path = flash;
  }
  void open_unowned() {
    const auto opened = try_open();
    ASSERT_TRUE(opened) << opened.error().message;
    store = *opened;
    store->end_tenure();
    store->take_over();
    direct = below->attach(world.loop());
    channel = store->attach(world.loop());
    settle();
  }
  /// As a unit reads: at once, if it can be.
  std::vector<std::uint8_t> read_soon(std::uint64_t at) {
    test_request r(verb::read, at, 4096, payload(random, std::vector<std::uint8_t>(4096, 0xee)));
    if (!channel->try_now(r, r.outcome)) run(*channel, r);
    EXPECT_EQ(r.outcome, status::good);
    return r.content();
  }
  void warm_ram() {
    for (int round = 0; round < 3; ++round) read_soon(0);
  }
  void begin() {
    result<void> begun = store->begin_tenure();
    for (int i = 0; i < 100 && !begun && begun.error().code == errc::busy; ++i) {
      world.sim().run_for(ns_per_ms);
      begun = store->begin_tenure();
    }
    ASSERT_TRUE(begun) << begun.error().message;
    world.sim().run_for(5 * ns_per_ms);
    settle();
  }
  /// Another gateway, without a cache, has the medium for a while.
  void another_writes(std::uint8_t octet) {
    ASSERT_TRUE(below->write_binding(0));
    test_request r(verb::write, 0, 256 * kib, payload(random, std::vector<std::uint8_t>(256 * kib, octet)));
    EXPECT_EQ(run(*direct, r), status::good);
    test_request durable(verb::flush, 0, 0);
    EXPECT_EQ(run(*direct, durable), status::good);
  }
};

TEST(tenure, what_ram_held_is_not_believed_when_another_gateway_had_the_medium) {
  shared_fixture s(1, "");
  s.open_unowned();
  s.begin();
  EXPECT_EQ(s.write(0, 32 * kib, 7), status::good);
  s.warm_ram();
  EXPECT_GT(s.figure("ram_hit_blocks"), 0);
  s.store->end_tenure();
  s.another_writes(9);
  s.begin();
  for (std::uint64_t at = 0; at < 32 * kib; at += 4096) EXPECT_THAT(s.read_soon(at), testing::Each(9));
  const double before = s.figure("ram_hit_blocks");
  s.warm_ram();
  EXPECT_GT(s.figure("ram_hit_blocks"), before) << "it keeps again";
}

TEST(tenure, without_it_nothing_is_kept) {
  shared_fixture s(2);
  s.open_unowned();
  s.settle();
  s.warm();
  s.warm_ram();
  EXPECT_EQ(s.figure("ram_hit_blocks"), 0);
  EXPECT_EQ(s.figure("flash_hit_blocks"), 0);
  EXPECT_EQ(s.below->read_binding(), 0U) << "flash that others' writes are not told to is not named";
  s.begin();
  EXPECT_NE(s.below->read_binding(), 0U);
}

TEST(tenure, flash_is_warm_after_a_restart_when_nobody_else_had_the_medium) {
  shared_fixture s(3);
  s.open_unowned();
  s.begin();
  EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  s.close();
  s.open_unowned();
  s.begin();
  EXPECT_GT(s.figure("flash_recovered_blocks"), 30);
  for (std::uint64_t at = 0; at < 256 * kib; at += 4096) EXPECT_THAT(s.read(*s.channel, at, 4096), testing::Each(7));
  EXPECT_GT(s.figure("flash_hit_blocks"), 0);
}

TEST(tenure, flash_of_before_is_not_believed_when_another_had_the_medium_during_a_restart) {
  for (const bool before_open : {false, true}) {
    shared_fixture s(4);
    s.open_unowned();
    s.begin();
    EXPECT_EQ(s.write(0, 256 * kib, 7), status::good);
    EXPECT_EQ(s.flush(), status::good);
    s.warm();
    s.close();
    if (before_open) {
      s.open_unowned();
      s.another_writes(9);
      s.close();
      s.open_unowned();
    } else {
      s.open_unowned();
      s.settle();
      s.another_writes(9);
    }
    s.begin();
    for (std::uint64_t at = 0; at < 256 * kib; at += 4096) EXPECT_THAT(s.read(*s.channel, at, 4096), testing::Each(9));
  }
}

/// Gateways with and without flash that have the medium in turn, start anew, and lose their flash's note to each other.
/// Whoever has it reads what is there.
class turns {
 public:
  explicit turns(std::uint64_t seed) : world_(seed), random_(seed) {
    below_ = *file::open_store({.path = "/image", .size_bytes = size}, world_.loop());
    direct_ = below_->attach(world_.loop());
    for (std::size_t i = 0; i < gateways_.size(); ++i) start(i);
  }
  ~turns() {
    for (gateway& each : gateways_) stop(each);
  }

  /// How much of what was read came from a tier.
  double run() {
    for (int step = 0; step < 60 && !testing::Test::HasFailure(); ++step) {
      const std::size_t who = random_() % gateways_.size();
      switch (random_() % 4) {
        case 0:
          stop(gateways_[who]);
          start(who);
          break;
        default:
          take(who);
          use(gateways_[who]);
      }
      if (random_() % 3 == 0) world_.sim().run_for(random_() % (20 * ns_per_ms));
    }
    return hits_;
  }

 private:
  static constexpr std::uint64_t size = 512 * kib;
  struct gateway {
    std::shared_ptr<sluice::store::store> store;
    std::unique_ptr<sluice::store::channel> channel;
    bool owns = false;
  };

  void start(std::size_t i) {
    options wanted;
    wanted.ram_bytes = 1 * mib;
    wanted.bypass_bytes = wanted.prefetch_bytes = 0;
    if (i != 2) wanted.flash = {"/flash" + std::to_string(i), 256 * kib, 8, 8};
    auto opened = cache_store::open(below_, wanted, &world_.loop());
    ASSERT_TRUE(opened) << opened.error().message;
    gateways_[i].store = *opened;
    gateways_[i].store->end_tenure();
    gateways_[i].store->take_over();
    gateways_[i].channel = gateways_[i].store->attach(world_.loop());
  }
  void stop(gateway& of) {
    if (!of.store) return;
    world_.sim().run_until([&] { return of.channel->idle(); }, world_.sim().now_ns() + 10 * ns_per_s);
    hits_ += figure_of(*of.store, "ram_hit_blocks") + std::max(0.0, figure_of(*of.store, "flash_hit_blocks"));
    of.channel.reset();
    of.store.reset();
    of.owns = false;
  }
  void take(std::size_t who) {
    for (gateway& each : gateways_)
      if (&each != &gateways_[who] && std::exchange(each.owns, false)) each.store->end_tenure();
    if (std::exchange(gateways_[who].owns, true)) return;
    for (int i = 0; i < 1000; ++i) {
      const auto begun = gateways_[who].store->begin_tenure();
      if (begun) return;
      ASSERT_EQ(begun.error().code, errc::busy) << begun.error().message;
      world_.sim().run_for(ns_per_ms);
    }
    ADD_FAILURE() << "busy for a second";
  }
  void use(gateway& of) {
    for (unsigned i = 0, count = 1 + random_() % 40; i < count && !testing::Test::HasFailure(); ++i) {
      const std::uint64_t at = random_() % (size / block_bytes) * block_bytes;
      if (random_() % 3 == 0) {
        const auto octet = static_cast<std::uint8_t>(random_());
        test_request r(verb::write, at, block_bytes, payload(random_, std::vector<std::uint8_t>(block_bytes, octet)));
        r.fua = random_() % 2 == 0;
        EXPECT_EQ(ask(*of.channel, r), status::good);
      } else {
        EXPECT_EQ(read(*of.channel, at), read(*direct_, at)) << "at " << at;
      }
    }
  }
  std::vector<std::uint8_t> read(sluice::store::channel& on, std::uint64_t at) {
    test_request r(verb::read, at, block_bytes, payload(random_, std::vector<std::uint8_t>(block_bytes, 0xee)));
    EXPECT_EQ(ask(on, r), status::good);
    return r.content();
  }
  status ask(sluice::store::channel& on, test_request& r) {
    if (on.try_now(r, r.outcome)) return r.outcome;
    bool done = false;
    r.on_done = [&] { done = true; };
    on.submit(r);
    world_.sim().run_until([&] { return done; }, world_.sim().now_ns() + 60 * ns_per_s);
    EXPECT_TRUE(done);
    return r.outcome;
  }

  sluice::store::contract::simulated_world world_;
  std::mt19937_64 random_;
  std::shared_ptr<sluice::store::store> below_;
  std::unique_ptr<sluice::store::channel> direct_;
  std::array<gateway, 3> gateways_;
  double hits_ = 0;
};

TEST(tenure, gateways_that_take_turns_read_what_is_there) {
  double hits = 0;
  for (std::uint64_t seed = 1; seed <= 60 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    hits += turns(seed).run();
  }
  EXPECT_GT(hits, 1000);
}

}  // namespace
}  // namespace sluice::cache
