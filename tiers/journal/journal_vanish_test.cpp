#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tiers/journal/offline.hpp"
#include "tiers/journal/test_fixture.hpp"

/// The flash of a journal vanishes, or does requests in part, with requests under way: every request is answered, no
/// read gets what was replaced, and what is lost is told, also at the next start.
namespace sluice::journal {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t unit_blocks = 64;

class vanish_run {
 public:
  explicit vanish_run(std::uint64_t seed) : s(seed) {
    s.open();
    for (block_number b = 0; b < unit_blocks; ++b) write(b);
    finish();
    EXPECT_TRUE(s.settle());
  }
  reactor::sim_file_faults& flash() { return s.world.sim().faults("/flash"); }

  void write(block_number b) {
    const std::uint8_t octet = next_++;
    auto r = std::make_unique<test_request>(verb::write, b * block_bytes, block_bytes,
                                            payload(s.random, std::vector<std::uint8_t>(block_bytes, octet)));
    r->on_done = [this, b, octet, done = r.get()] {
      --in_flight_;
      busy_.erase(b);
      EXPECT_EQ(done->outcome, status::good);
      acknowledged_[b].push_back(octet);
    };
    ++in_flight_;
    busy_[b] = true;
    s.channel->submit(*r);
    requests_.push_back(std::move(r));
  }
  /// Writes of chance, no two of a block at a time.
  void work(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      if (const block_number b = s.random() % unit_blocks; !busy_.contains(b)) write(b);
      s.world.sim().run_for(s.random() % (300 * ns_per_us));
    }
  }
  void finish() {
    EXPECT_TRUE(s.world.sim().run_until([&] { return in_flight_ == 0; }, s.world.sim().now_ns() + 60 * ns_per_s));
    requests_.clear();
  }
  /// Reads all; how many blocks are lost. The others are what was written last.
  unsigned check() {
    unsigned lost = 0;
    for (block_number b = 0; b < unit_blocks; ++b) {
      test_request r(verb::read, b * block_bytes, block_bytes,
                     payload(s.random, std::vector<std::uint8_t>(block_bytes, 0xee)));
      if (s.run(*s.channel, r) == status::medium_error) {
        ++lost;
        continue;
      }
      EXPECT_EQ(r.outcome, status::good);
      EXPECT_EQ(r.content(), std::vector<std::uint8_t>(block_bytes, acknowledged_[b].back())) << "block " << b;
    }
    return lost;
  }
  /// Whether each block is something that it once was.
  void check_history() {
    for (block_number b = 0; b < unit_blocks; ++b) {
      const auto found = s.read(*s.channel, b * block_bytes, block_bytes);
      EXPECT_EQ(found, std::vector<std::uint8_t>(block_bytes, found[0]));
      EXPECT_THAT(acknowledged_[b], testing::Contains(found[0])) << "block " << b;
    }
  }
  void go_on_without() {
    s.drop();
    const auto medium = file::open_store({.path = "/image", .size_bytes = size}, s.world.loop());
    const auto ownership = (*medium)->read_ownership();
    EXPECT_TRUE((*medium)->write_ownership({ownership->epoch + 1, {}}));
  }

  journal_fixture s;

 private:
  std::map<block_number, std::vector<std::uint8_t>> acknowledged_;
  std::map<block_number, bool> busy_;
  std::vector<std::unique_ptr<test_request>> requests_;
  std::size_t in_flight_ = 0;
  std::uint8_t next_ = 1;
};

/// What a start says of flash that is gone, empty, or back with what it held.
void start_again(vanish_run& run, std::uint64_t way, bool lost) {
  journal_fixture& s = run.s;
  if (way == 0) {
    EXPECT_FALSE(s.try_open());
    run.flash() = {};
    return;
  }
  run.flash() = {};
  if (way == 1) s.world.sim().remove_file("/flash");
  const auto opened = s.try_open();
  if (lost) {
    ASSERT_FALSE(opened) << "acknowledged data are missing";
    EXPECT_THAT(opened.error().message, HasSubstr(way == 1 ? "the medium lacks data that are in journal"
                                                           : "the medium does not wait for them"));
    EXPECT_THAT(opened.error().message, HasSubstr("resolve"));
  } else if (way == 1) {
    ASSERT_TRUE(opened) << opened.error().message;
  }
  if (way == 2) s.world.sim().remove_file("/flash");
}

TEST(journal_vanish, under_requests_loses_only_what_was_dirty_and_tells_it) {
  unsigned losses = 0, none = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    vanish_run run(seed);
    if (seed % 4 == 0) run.s.control->stall();
    run.work(static_cast<unsigned>(run.s.random() % 40));
    run.flash().gone = true;
    run.work(static_cast<unsigned>(1 + run.s.random() % 40));
    run.s.control->release();
    run.finish();
    run.s.world.sim().run_for(ns_per_s);
    EXPECT_EQ(run.s.tier->core().now, state::passing);
    EXPECT_THAT(run.s.tier->health(), HasSubstr("journal /flash failed"));
    const unsigned lost = run.check();
    EXPECT_EQ(lost, run.s.tier->core().lost_blocks());
    if (lost != 0) {
      EXPECT_THAT(run.s.tier->health(), HasSubstr("are lost until they are written anew"));
    }
    (lost != 0 ? losses : none) += 1;
    seed % 2 == 0 ? run.s.lose_power() : run.s.close();
    start_again(run, seed % 3, lost != 0);
    run.go_on_without();
    run.s.world.sim().remove_file("/flash");
    run.s.open();
    run.check_history();
    if (lost == 0) {
      EXPECT_EQ(run.check(), 0U);
    }
    EXPECT_EQ(run.s.tier->health(), "good");
  }
  EXPECT_GT(losses, 10U);
  EXPECT_GT(none, 3U);
}

TEST(journal_vanish, what_was_lost_is_whole_again_when_it_was_written_anew) {
  vanish_run run(100);
  run.s.control->stall();
  for (block_number b = 0; b < 20; ++b) run.write(b);
  run.finish();
  run.flash().gone = true;
  run.s.control->release();
  run.write(40);
  run.finish();
  EXPECT_EQ(run.check(), 20U);
  for (block_number b = 0; b < 20; ++b) run.write(b);
  run.finish();
  EXPECT_EQ(run.check(), 0U);
  EXPECT_THAT(run.s.tier->health(), testing::Not(HasSubstr("lost")));
  run.s.close();
  run.flash() = {};
  EXPECT_FALSE(run.s.try_open()) << "what it holds is older than what is below";
  run.s.drop();
  run.s.world.sim().remove_file("/flash");
  run.s.open();
  EXPECT_EQ(run.check(), 0U);
}

TEST(journal_vanish, requests_done_in_part_and_reads_of_other_blocks_are_no_data) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    vanish_run run(seed);
    run.work(20);
    if (seed % 3 == 0) run.flash().short_write = 0.2;
    if (seed % 3 == 1) run.flash().short_read = 0.2;
    if (seed % 3 == 2) run.flash().misdirected_read = 0.2;
    run.work(60);
    run.finish();
    const unsigned lost = run.check();
    if (seed % 3 == 0) {
      EXPECT_EQ(lost, 0U);
    }
    run.flash() = {};
    if (lost != 0) continue;
    const bool failed = run.s.tier->core().flash_failed();
    run.s.lose_power();
    if (const auto refused = run.s.try_open(); !refused) {
      EXPECT_TRUE(failed) << "only what could not be made void is disowned";
      EXPECT_THAT(refused.error().message, HasSubstr("the medium does not wait for them"));
      run.go_on_without();
      run.s.world.sim().remove_file("/flash");
    }
    run.s.drop();
    run.s.open();
    EXPECT_EQ(run.check(), run.s.tier->core().lost_blocks());
  }
}

}  // namespace
}  // namespace sluice::journal
