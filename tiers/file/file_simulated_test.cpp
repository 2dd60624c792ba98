#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <random>

#include "tiers/file/file_store.hpp"
#include "tiers/store/contract_simulated.hpp"

/// The file store in the simulated world: media that fail, and the promise that
/// matters most: what was flushed, or written with FUA, is there after the power was lost.
namespace sluice::store::contract {
namespace {

constexpr std::uint64_t sector = 512;

/// A store whose every sector is known by the contents that it may hold after a crash.
class crash_history {
 public:
  explicit crash_history(std::uint64_t seed) : world_(seed), random_(seed) { open(size); }
  ~crash_history() { drop(); }

  /// Some batches of requests, a crash in the midst of the last one, and a look at what is left.
  void run() {
    const std::uint64_t batches = 1 + random_() % 12;
    for (std::uint64_t i = 0; i < batches; ++i) run_batch(i + 1 == batches);
    for (const auto& each : in_flight_) {
      if (each.second->completions == 0) remember(*each.second, each.first, false);
    }
    world_.sim().crash();
    drop();
    in_flight_.clear();
    world_.restart();
    open(0);
    check();
  }

 private:
  static constexpr std::uint64_t size = 256 * kib;
  static constexpr std::uint64_t lanes = 8;
  using tag = std::uint64_t;

  void open(std::uint64_t size_bytes) {
    auto opened = file::open_store({.path = "/image", .size_bytes = size_bytes}, world_.loop());
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = *opened;
    channel_ = store_->attach(world_.loop());
  }
  void drop() {
    channel_.reset();
    store_.reset();
  }

  static std::vector<std::uint8_t> content(tag t, std::uint64_t length) {
    std::vector<std::uint8_t> octets(length);
    for (std::uint64_t i = 0; i < length; ++i) octets[i] = static_cast<std::uint8_t>(t >> (i % 8 * 8));
    return octets;
  }

  void remember(const test_request& r, tag t, bool durable) {
    for (std::uint64_t i = r.offset_bytes / sector; i * sector < r.offset_bytes + r.length_bytes; ++i) {
      if (durable) possible_[i].clear();
      possible_[i].push_back(t);
    }
  }
  void flushed() {
    for (auto& contents : possible_) contents.erase(contents.begin(), contents.end() - 1);
  }

  void add_request(std::uint64_t lane) {
    constexpr std::array verbs{verb::write, verb::write, verb::discard, verb::write_zeroes};
    const verb what = verbs[random_() % verbs.size()];
    const std::uint64_t sectors = size / lanes / sector;
    const std::uint64_t first = random_() % sectors;
    const std::uint64_t length = (1 + random_() % (sectors - first)) * sector;
    const tag t = what == verb::write ? next_tag_++ : 0;
    payload data;
    if (what == verb::write) data = payload(random_, content(t, length));
    auto r = std::make_unique<test_request>(what, lane * size / lanes + first * sector, length, std::move(data));
    r->fua = random_() % 3 == 0;
    test_request* raw = r.get();
    r->on_done = [this, raw, t] {
      EXPECT_EQ(raw->outcome, status::good);
      remember(*raw, t, raw->fua);
      completed();
    };
    in_flight_.emplace_back(t, std::move(r));
  }

  void run_batch(bool last) {
    in_flight_.clear();
    if (random_() % 4 == 0) {
      in_flight_.emplace_back(0, std::make_unique<test_request>(verb::flush, 0, 0));
      in_flight_.back().second->on_done = [this] {
        flushed();
        completed();
      };
    } else {
      for (std::uint64_t lane = 0; lane < lanes; ++lane) {
        if (in_flight_.empty() || random_() % 2 == 0) add_request(lane);
      }
    }
    left_ = in_flight_.size();
    for (const auto& each : in_flight_) channel_->submit(*each.second);
    if (!last) return world_.run();
    world_.sim().run_for(random_() % (3 * ns_per_ms));
  }
  void completed() {
    if (--left_ == 0) world_.finish();
  }

  void check() {
    test_request r(verb::read, 0, size, payload(random_, std::vector<std::uint8_t>(size, 0xee)));
    r.on_done = [this] { world_.finish(); };
    world_.enter([&] { channel_->submit(r); });
    ASSERT_EQ(r.outcome, status::good);
    const std::vector<std::uint8_t> found = r.content();
    for (std::uint64_t i = 0; i < possible_.size(); ++i) {
      const auto* at = found.data() + i * sector;
      const bool known = std::ranges::any_of(
          possible_[i], [at](tag t) { return std::equal(at, at + sector, content(t, sector).begin()); });
      ASSERT_TRUE(known) << "sector " << i << " holds what no request left there, of " << possible_[i].size();
    }
  }

  simulated_world world_;
  std::mt19937_64 random_;
  std::shared_ptr<store> store_;
  std::unique_ptr<channel> channel_;
  std::vector<std::pair<tag, std::unique_ptr<test_request>>> in_flight_;
  std::size_t left_ = 0;
  tag next_tag_ = 0x0101010101010101;
  std::vector<std::vector<tag>> possible_ = std::vector<std::vector<tag>>(size / sector, {0});
};

TEST(simulated_file, keeps_what_was_flushed_through_a_loss_of_power) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    crash_history(seed).run();
    if (testing::Test::HasFailure()) return;
  }
}

TEST(simulated_file, is_held_against_another_gateway_until_the_holder_loses_its_power) {
  reactor::sim_world world(5);
  const auto first = world.make_loop(0);
  const auto second = world.make_loop(1);
  const file::options image{.path = "/image", .size_bytes = 1 * mib};
  auto holder = file::open_store(image, *first);
  ASSERT_TRUE(holder) << holder.error().message;
  const auto refused = file::open_store(image, *second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::busy);
  world.crash(0);
  EXPECT_TRUE(file::open_store(image, *second));
  holder->reset();
}

TEST(simulated_file, a_sector_that_cannot_be_read_is_a_medium_error_until_it_is_written) {
  simulated_world world(3);
  auto opened = file::open_store({.path = "/image", .size_bytes = 1 * mib}, world.loop());
  ASSERT_TRUE(opened);
  std::unique_ptr<channel> channel = (*opened)->attach(world.loop());
  std::mt19937_64 random(3);
  const auto run = [&](verb what, std::uint64_t offset) {
    test_request r(what, offset, 4096, payload(random, std::vector<std::uint8_t>(4096, 1)));
    r.on_done = [&] { world.finish(); };
    channel->submit(r);
    world.run();
    EXPECT_EQ(r.completions, 1);
    if (r.outcome == status::medium_error) {
      EXPECT_EQ(r.failed_offset, offset);
    }
    return r.outcome;
  };
  EXPECT_EQ(run(verb::write, 8192), status::good);
  world.sim().medium_error("/image", 8192 + sector, sector);
  EXPECT_EQ(run(verb::read, 8192), status::medium_error);
  EXPECT_EQ(run(verb::read, 4096), status::good);
  EXPECT_EQ(run(verb::write, 8192), status::good);
  EXPECT_EQ(run(verb::read, 8192), status::good);
  world.sim().options().write_error = 1;
  EXPECT_EQ(run(verb::write, 8192), status::medium_error);
  EXPECT_EQ(run(verb::write_zeroes, 8192), status::good);
  channel.reset();
}

}  // namespace
}  // namespace sluice::store::contract
