#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <random>

#include "actors/reactor/simulated.hpp"
#include "tiers/cache/test_history.hpp"
#include "tiers/fault/fault_store.hpp"
#include "tiers/file/file_store.hpp"
#include "tiers/journal/test_setup.hpp"
#include "tiers/store/contract_kit.hpp"
#include "tiers/store/contract_seeds.hpp"

/// Several cores, a store below and flash that lose what was not synced, the power lost or the process killed at
/// moments of chance, again and again: every acknowledged sector is there afterwards.
namespace sluice::journal {
namespace {

using cache::history;
using cache::sector_bytes;
using store::status;
using store::verb;
using store::contract::payload;
using store::contract::test_request;

class crash_run {
 public:
  struct outcome {
    std::uint64_t recovered_bytes = 0;
    std::uint64_t destaged_bytes = 0;
    std::uint64_t moves = 0;
  };

  explicit crash_run(std::uint64_t seed) : world_(seed), random_(seed) {
    world_.options().disk_latency_ns = {20 * ns_per_us, random_() % 2 == 0 ? 200 * ns_per_us : 2 * ns_per_ms};
    world_.options().early_read = random_() % 2 == 0 ? 0 : 0.5;
    record_blocks_ = 4U << random_() % 3;
    journal_bytes_ = (2 + (8 + random_() % 24) * record_blocks_) * block_bytes;
    // Now and then the last block is not whole.
    size_ = (random_() % 3 == 0 ? 255 * 1024 + 512 : 256 * 1024);
    cores_.resize(1 + random_() % 3);
    faults_ = random_() % 3 == 0;
  }
  ~crash_run() {
    world_.crash();
    drop();
  }

  void run(outcome& sum) {
    const unsigned lives = 2 + static_cast<unsigned>(random_() % 4);
    for (unsigned life = 0; life <= lives && !failed(); ++life) {
      SCOPED_TRACE("life " + std::to_string(life));
      open();
      if (failed()) return;
      sum.recovered_bytes += store_->core().index.blocks() * block_bytes;
      // Some lives are so short that nothing of the one before is below when they end.
      if (life == lives || random_() % 3 != 0) check_all();
      if (life < lives) work(sum);
      sum.destaged_bytes += store_->core().figures.destaged_bytes;
      if (life < lives) end_life();
    }
  }

 private:
  struct core {
    std::unique_ptr<reactor::loop> loop;
    std::unique_ptr<store::channel> channel;
    unsigned in_flight = 0;
  };
  struct change {
    std::uint64_t first, count;
    history::value what;
    std::uint64_t start;
  };

  static bool failed() { return testing::Test::HasFailure(); }
  std::uint64_t sectors() const { return size_ / sector_bytes; }

  void open() {
    for (std::size_t i = 0; i < cores_.size(); ++i) cores_[i].loop = world_.make_loop(static_cast<unsigned>(i));
    reactor::loop& control = *cores_[0].loop;
    auto file = file::open_store({.path = "/image", .size_bytes = opened_before_ ? 0 : size_}, control);
    ASSERT_TRUE(file) << file.error().message;
    opened_before_ = true;
    fault::chances odds;
    odds.seed = random_() | 1;
    if (faults_) odds.write_error_ppm = odds.torn_write_ppm = odds.flush_error_ppm = odds.no_space_ppm = 10'000;
    store_ =
        test_over(std::make_shared<fault::fault_store>(*file, odds), control, "/flash", journal_bytes_, record_blocks_);
    ASSERT_TRUE(store_);
    for (core& c : cores_) c.loop->post([this, &c] { c.channel = store_->attach(*c.loop); });
    world_.run_until(
        [this] {
          return std::all_of(cores_.begin(), cores_.end(), [](const core& c) { return c.channel != nullptr; });
        },
        world_.now_ns() + ns_per_s);
  }
  void drop() {
    for (core& c : cores_) {
      c.channel.reset();
      c.in_flight = 0;
    }
    store_.reset();
    world_.run_for(ns_per_ms);  // a owner that was on its way to another loop
    for (core& c : cores_) c.loop.reset();
    for (const change& each : under_way_)
      history_.end(each.first, each.count, each.what, each.start, false, world_.now_ns());
    under_way_.clear();
    exclusive_ = {};
    requests_.clear();
  }
  void end_life() {
    const std::uint64_t how = random_() % 4;
    if (how == 0) {
      world_.run_until([this] { return quiet(); }, world_.now_ns() + 60 * ns_per_s);
      ASSERT_TRUE(quiet()) << "requests are never answered";
      // All at once: while one is waited for, the journal may begin to flush at another.
      const auto idle = [this] {
        return std::all_of(cores_.begin(), cores_.end(), [](const core& c) { return c.channel->idle(); });
      };
      ASSERT_TRUE(world_.run_until(idle, world_.now_ns() + 10 * ns_per_s));
      return drop();
    }
    world_.run_for(random_() % (3 * ns_per_ms));
    if (how != 1) world_.crash();
    // A process that is killed: the page cache stays, what was under way is over.
    if (how == 1)
      for (core& c : cores_) world_.kill(c.loop->index());
    drop();
  }
  bool quiet() const {
    return std::all_of(cores_.begin(), cores_.end(), [](const core& c) { return c.in_flight == 0; });
  }

  // -- requests ------------------------------------------------------------------------------------------------------

  void work(outcome& sum) {
    const std::uint64_t steps = random_() % 3 == 0 ? random_() % 15 : 20 + random_() % 300;
    for (std::uint64_t step = 0; step < steps && !failed(); ++step) {
      core& c = cores_[random_() % cores_.size()];
      if (c.in_flight < 5) c.loop->post([this, &c] { act(c); });
      world_.run_for(random_() % 300 * ns_per_us);
      if (step % 97 == 96 && cores_.size() > 1) move(sum);
      if (step % 151 == 150) change_hands();
    }
  }
  /// The first core's channel goes, and the owner with it, then comes back.
  void move(outcome& sum) {
    core& c = cores_[0];
    if (!world_.run_until([&] { return c.in_flight == 0 && c.channel->idle(); }, world_.now_ns() + 10 * ns_per_s))
      return;
    c.channel.reset();
    world_.run_for(random_() % ns_per_ms);
    c.channel = store_->attach(*c.loop);
    ++sum.moves;
  }
  void change_hands() {
    store_->begin_hand_over();
    world_.run_until([this] { return store_->handed_over().has_value(); }, world_.now_ns() + 2 * ns_per_s);
    store_->take_over();
  }

  void act(core& c) {
    if (!c.channel) return;
    const std::uint64_t count = std::min(sectors(), 1 + (random_() % 16 == 0 ? random_() % 300 : random_() % 20));
    const std::uint64_t room = sectors() - count + 1;
    const std::uint64_t first = random_() % 2 == 0 ? random_() % room : std::min(random_() % room, random_() % room);
    if (first < exclusive_.first + exclusive_.count && exclusive_.first < first + count) return;
    switch (random_() % 16) {
      case 0:
        return flush(c);
      case 1:
        return change_range(c, verb::discard, first, count);
      case 2:
        return change_range(c, verb::write_zeroes, first, count);
      case 3:
        return change_range(c, verb::write_same, first, count);
      case 4:
        return compare(c, first, std::min<std::uint64_t>(count, 16));
      case 5:
      case 6:
      case 7:
      case 8:
        return read(c, first, count);
      default:
        return change_range(c, verb::write, first, count);
    }
  }
  test_request& add(std::unique_ptr<test_request> r) {
    requests_.push_back(std::move(r));
    return *requests_.back();
  }
  void submit(core& c, test_request& r) {
    ++c.in_flight;
    r.submitting = true;
    c.channel->submit(r);
    r.submitting = false;
  }
  void flush(core& c) {
    test_request& r = add(std::make_unique<test_request>(verb::flush, 0, 0));
    r.on_done = [&c] { --c.in_flight; };
    submit(c, r);
  }
  void change_range(core& c, verb what, std::uint64_t first, std::uint64_t count) {
    const bool zeroes = what == verb::discard || what == verb::write_zeroes;
    const history::value v = zeroes ? 0 : ++last_value_;
    std::vector<std::uint8_t> octets(what == verb::write ? count * sector_bytes : 0);
    history::fill(octets, v);
    test_request& r =
        add(std::make_unique<test_request>(what, first * sector_bytes, count * sector_bytes, payload(random_, octets)));
    if (what == verb::write_same) {
      auto& [pattern, part] = patterns_.emplace_back();
      history::fill(pattern, v);
      part = {pattern.data(), pattern.size()};
      r.parts = &part;
      r.part_count = 1;
    }
    r.fua = random_() % 4 == 0;
    begin(c, r, {first, count, v, world_.now_ns()});
  }
  void begin(core& c, test_request& r, const change& what) {
    under_way_.push_back(what);
    history_.begin(what.first, what.count, what.what, what.start);
    r.on_done = [this, &c, &r, what] {
      --c.in_flight;
      const auto same = [&](const change& each) {
        return each.what == what.what && each.start == what.start && each.first == what.first;
      };
      under_way_.erase(std::find_if(under_way_.begin(), under_way_.end(), same));
      if (what.first == exclusive_.first && what.count == exclusive_.count) exclusive_ = {};
      // With faults below, what passes there may fail.
      EXPECT_TRUE(faults_ || r.outcome == status::good) << "verb " << static_cast<int>(r.what);
      history_.end(what.first, what.count, what.what, what.start, r.outcome == status::good, world_.now_ns());
    };
    submit(c, r);
  }
  void read(core& c, std::uint64_t first, std::uint64_t count) {
    test_request& r =
        add(std::make_unique<test_request>(verb::read, first * sector_bytes, count * sector_bytes,
                                           payload(random_, std::vector<std::uint8_t>(count * sector_bytes, 0xee))));
    r.on_done = [this, &c, &r, first, start = world_.now_ns()] {
      --c.in_flight;
      ASSERT_EQ(r.outcome, status::good);
      expect_read(history_, first, r.content(), start, world_.now_ns());
    };
    submit(c, r);
  }
  /// COMPARE AND WRITE: its submitter keeps everybody else off the range.
  void compare(core& c, std::uint64_t first, std::uint64_t count) {
    if (exclusive_.count != 0) return;
    for (const change& each : under_way_)
      if (first < each.first + each.count && each.first < first + count) return;
    exclusive_ = {first, count, 0, 0};
    test_request& r =
        add(std::make_unique<test_request>(verb::read, first * sector_bytes, count * sector_bytes,
                                           payload(random_, std::vector<std::uint8_t>(count * sector_bytes, 0xee))));
    r.on_done = [this, &c, &r, first, count] {
      --c.in_flight;
      ASSERT_EQ(r.outcome, status::good);
      payload both(random_, r.content());
      const auto compared = static_cast<unsigned>(both.parts().size());
      std::vector<std::uint8_t> octets(count * sector_bytes);
      const history::value v = ++last_value_;
      history::fill(octets, v);
      both.append(payload(random_, octets));
      test_request& w = add(std::make_unique<test_request>(verb::compare_and_write, first * sector_bytes,
                                                           count * sector_bytes, std::move(both)));
      w.parts_compare = compared;
      begin(c, w, {first, count, v, world_.now_ns()});
    };
    submit(c, r);
  }

  void check_all() {
    core& c = cores_[random_() % cores_.size()];
    for (std::uint64_t first = 0; first < sectors() && !failed(); first += 64) {
      const std::uint64_t count = std::min<std::uint64_t>(64, sectors() - first);
      c.loop->post([this, &c, first, count] { read(c, first, count); });
      world_.run_for(random_() % ns_per_ms);
    }
    EXPECT_TRUE(world_.run_until([this] { return quiet(); }, world_.now_ns() + 60 * ns_per_s))
        << "reads are never answered";
  }

  reactor::sim_world world_;
  std::mt19937_64 random_;
  std::uint32_t record_blocks_ = 0;
  std::uint64_t journal_bytes_ = 0;
  std::uint64_t size_ = 0;
  bool faults_ = false;
  bool opened_before_ = false;
  std::vector<core> cores_;
  std::shared_ptr<journal_store> store_;
  history history_{512};
  history::value last_value_ = 0;
  std::vector<change> under_way_;
  change exclusive_{};
  std::vector<std::unique_ptr<test_request>> requests_;
  std::deque<std::pair<std::array<std::uint8_t, sector_bytes>, iovec>> patterns_;  // of write_same
};

TEST(journal_crash, every_acknowledged_sector_survives_the_power_and_the_process) {
  crash_run::outcome sum;
  const std::uint64_t all = store::contract::seeds_or(300);
  for (std::uint64_t seed = 1; seed <= all; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    crash_run(seed).run(sum);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(sum.recovered_bytes, all * 64 * kib);
  EXPECT_GT(sum.destaged_bytes, all * 64 * kib);
  EXPECT_GT(sum.moves, all / 10);
}

}  // namespace
}  // namespace sluice::journal
