#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tiers/file/file_store.hpp"
#include "tiers/journal/test_setup.hpp"
#include "tiers/store/contract_seeds.hpp"
#include "tiers/store/contract_simulated.hpp"

/// The flash is taken away at a moment of chance: what the store below holds then is everything up to a run of epochs,
/// and a part of the next, whatever it lost with the power.
namespace sluice::journal {
namespace {

using store::verb;
using store::contract::payload;
using store::contract::simulated_world;
using store::contract::test_request;

constexpr std::uint64_t prefix_bytes = 128 * kib;
constexpr std::uint64_t sector = 512;
constexpr std::uint32_t prefix_record_blocks = 16;
constexpr std::uint64_t prefix_journal_bytes = (2 + 12 * prefix_record_blocks) * block_bytes;

/// One request at a time, each of them one record.
class prefix_run {
 public:
  explicit prefix_run(std::uint64_t seed) : world_(seed), random_(seed) {
    world_.sim().options().disk_latency_ns = {20 * ns_per_us, 300 * ns_per_us};
    below_ = *file::open_store({.path = "/image", .size_bytes = prefix_bytes}, world_.loop());
    tier_ = test_over(below_, world_.loop(), "/flash", prefix_journal_bytes, prefix_record_blocks);
    channel_ = tier_->attach(world_.loop());
    world_.sim().run_for(ns_per_ms);
  }
  ~prefix_run() { drop(); }

  /// Whether a run was under way when the power went.
  bool run() {
    const std::uint64_t steps = 20 + random_() % 200;
    for (std::uint64_t step = 0; step < steps && !testing::Test::HasFailure(); ++step) act();
    world_.sim().run_for(random_() % (2 * ns_per_ms));
    const std::uint64_t run_end = tier_->core().figures.run_end;
    world_.sim().crash();
    drop();
    world_.restart();
    check(run_end);
    return run_end >= tail_;
  }

 private:
  struct version {
    std::uint64_t sequence;
    std::uint8_t octet;
  };

  void drop() {
    channel_.reset();
    tier_.reset();
    below_.reset();
  }
  void act() {
    const std::uint64_t kind = random_() % 12;
    if (kind == 0) {
      test_request flush(verb::flush, 0, 0);
      return perform(flush);
    }
    const std::uint64_t count = 1 + random_() % 60;
    const std::uint64_t room = prefix_bytes / sector - count + 1;
    const std::uint64_t first = std::min(random_() % room, random_() % room);
    const verb what = kind == 1 ? verb::discard : kind == 2 ? verb::write_zeroes : verb::write;
    const std::uint8_t octet = what == verb::write ? next_++ | 1 : 0;
    const std::vector<std::uint8_t> octets(what == verb::write ? count * sector : 0, octet);
    test_request r(what, first * sector, count * sector, payload(random_, octets));
    perform(r);
    const std::uint64_t sequence = tier_->core().acknowledged;
    ASSERT_EQ(sequence, last_ + 1) << "one request, one record";
    last_ = sequence;
    for (std::uint64_t s = first; s < first + count; ++s) versions_[s].push_back({sequence, octet});
  }
  void perform(test_request& r) {
    bool done = false;
    r.on_done = [&] { done = true; };
    channel_->submit(r);
    ASSERT_TRUE(world_.sim().run_until([&] { return done; }, world_.sim().now_ns() + 10 * ns_per_s));
    ASSERT_EQ(r.outcome, store::status::good);
    if (random_() % 3 == 0) world_.sim().run_for(random_() % (3 * ns_per_ms));
  }

  void check(std::uint64_t run_end) {
    auto flash = test_flash(world_.loop(), "/flash", prefix_journal_bytes);
    ASSERT_TRUE(flash);
    const auto super = log_reader(world_.loop(), flash->handle).read_superblock();
    ASSERT_TRUE(super && *super);
    tail_ = (*super)->tail_sequence;
    auto opened = world_.loop().open_file("/image", {});
    ASSERT_TRUE(opened);
    std::vector<std::uint8_t> image(prefix_bytes);
    ASSERT_TRUE(world_.loop().read_now(*opened, image, 0));
    world_.loop().close(*opened);
    for (std::uint64_t s = 0; s < prefix_bytes / sector; ++s) {
      std::uint8_t base = 0;
      std::vector<std::uint8_t> possible;
      for (const version& each : versions_[s]) {
        if (each.sequence < tail_) base = each.octet;
        if (each.sequence >= tail_ && each.sequence <= run_end) possible.push_back(each.octet);
      }
      const std::uint8_t found = image[s * sector];
      const bool newest = !possible.empty() && found == possible.back();
      ASSERT_TRUE(found == base || newest) << "sector " << s << " holds " << int{found} << ", not " << int{base}
                                           << "; the log begins with " << tail_ << ", the run ends with " << run_end;
      for (std::uint64_t i = 0; i < sector; ++i) ASSERT_EQ(image[s * sector + i], found);
    }
  }

  simulated_world world_;
  std::mt19937_64 random_;
  std::shared_ptr<store::store> below_;
  std::shared_ptr<journal_store> tier_;
  std::unique_ptr<store::channel> channel_;
  std::map<std::uint64_t, std::vector<version>> versions_;  // by sector
  std::uint64_t last_ = 0;
  std::uint64_t tail_ = 0;
  std::uint8_t next_ = 1;
};

TEST(journal_prefix, the_store_below_holds_all_runs_up_to_one_and_a_part_of_the_next) {
  const std::uint64_t seeds = store::contract::seeds_or(200);
  std::uint64_t in_the_midst = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    in_the_midst += prefix_run(seed).run() ? 1 : 0;
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(in_the_midst, seeds / 20);
}

}  // namespace
}  // namespace sluice::journal
