#include "tiers/cache/read_ahead.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tiers/cache/test_setup.hpp"
#include "tiers/file/file_store.hpp"
#include "tiers/store/contract_simulated.hpp"

/// Reading ahead, over a disk that takes its time.
namespace sluice::cache {
namespace {

using sluice::store::status;
using sluice::store::verb;
using sluice::store::contract::payload;
using sluice::store::contract::simulated_world;
using sluice::store::contract::test_request;

class read_ahead_test : public testing::Test {
 protected:
  static constexpr std::uint64_t size = 32 * mib;
  void open(std::uint64_t prefetch_bytes, std::uint64_t bypass_bytes = 0, std::uint64_t ram_bytes = 64 * mib) {
    world_.sim().options().disk_latency_ns = {500 * ns_per_us, 1500 * ns_per_us};
    below_ = *file::open_store({.path = "/image", .size_bytes = size}, world_.loop());
    store_ = test_over(below_, write_through, ram_bytes, bypass_bytes, {}, prefetch_bytes);
    direct_ = below_->attach(world_.loop());
    channel_ = store_->attach(world_.loop());
    for (std::uint64_t at = 0; at < size; at += mib) write(*direct_, at, mib, static_cast<std::uint8_t>(at / mib + 1));
  }
  ~read_ahead_test() override {
    world_.sim().run_until([&] { return !channel_ || channel_->idle(); }, world_.sim().now_ns() + ns_per_s);
    channel_.reset();
    direct_.reset();
  }
  status run(sluice::store::channel& on, test_request& r) {
    bool done = false;
    r.on_done = [&] { done = true; };
    status now;
    if (on.try_now(r, now)) return now;
    on.submit(r);
    world_.sim().run_until([&] { return done; }, world_.sim().now_ns() + 10 * ns_per_s);
    EXPECT_TRUE(done);
    return r.outcome;
  }
  void write(sluice::store::channel& on, std::uint64_t offset, std::uint64_t length, std::uint8_t octet) {
    test_request r(verb::write, offset, length, payload(random_, std::vector<std::uint8_t>(length, octet)));
    ASSERT_EQ(run(on, r), status::good);
  }
  void read(std::uint64_t offset, std::uint64_t length) {
    test_request r(verb::read, offset, length, payload(random_, std::vector<std::uint8_t>(length)));
    ASSERT_EQ(run(*channel_, r), status::good);
    const std::vector<std::uint8_t> found = r.content();
    for (std::uint64_t at = 0; at < length; at += 512) ASSERT_EQ(found[at], expected(offset + at)) << offset + at;
  }
  std::uint8_t expected(std::uint64_t at) const {
    const auto changed = changed_.find(at / 4096);
    return changed != changed_.end() ? changed->second : static_cast<std::uint8_t>(at / mib + 1);
  }
  std::uint64_t time_of(const std::function<void()>& what) {
    const std::uint64_t before = world_.sim().now_ns();
    what();
    return world_.sim().now_ns() - before;
  }
  double figure(const char* name) const { return figure_of(*store_, name); }

  simulated_world world_{3};
  std::mt19937_64 random_{3};
  std::map<std::uint64_t, std::uint8_t> changed_;
  std::shared_ptr<sluice::store::store> below_, store_;
  std::unique_ptr<sluice::store::channel> direct_, channel_;
};

TEST_F(read_ahead_test, a_sequential_reader_finds_most_of_it_there) {
  open(512 * kib);
  const std::uint64_t blocks = 2048;
  const std::uint64_t took = time_of([&] {
    for (std::uint64_t block = 0; block < blocks; ++block) read(block * 4096, 4096);
  });
  EXPECT_LT(took, blocks * ns_per_ms / 10) << "without it, each block takes a millisecond";
  EXPECT_GT(figure("prefetch_used_blocks"), 0.98 * blocks);
  EXPECT_LE(figure("prefetched_blocks"), blocks + 256);
  EXPECT_GT(figure("ram_hit_blocks"), 0.95 * blocks);
  EXPECT_EQ(figure("read_blocks"), blocks);
  EXPECT_GE(figure("ram_used_bytes"), 0.99 * blocks * 4096) << "what was taken is kept";
  const double before = figure("prefetched_blocks");
  for (std::uint64_t block = 0; block < blocks - 256; ++block) read(block * 4096, 4096);
  EXPECT_EQ(figure("prefetched_blocks"), before) << "what is in RAM is not read again";
}

TEST_F(read_ahead_test, parts_of_blocks_and_requests_of_any_length_are_served) {
  open(512 * kib);
  std::uint64_t at = 512;
  for (int i = 0; i < 600; ++i) {
    const std::uint64_t length = 512 * (1 + random_() % 24);
    read(at, length);
    at += length;
  }
  EXPECT_GT(figure("prefetch_used_blocks"), 500);
}

TEST_F(read_ahead_test, random_readers_cause_none) {
  open(512 * kib);
  for (int i = 0; i < 1000; ++i) read(random_() % (size / 4096 - 4) * 4096, 4096 * (1 + random_() % 4));
  EXPECT_EQ(figure("prefetched_blocks"), 0);
}

TEST_F(read_ahead_test, can_be_turned_off) {
  open(0);
  for (std::uint64_t block = 0; block < 64; ++block) read(block * 4096, 4096);
  EXPECT_EQ(figure("prefetched_blocks"), 0);
}

TEST_F(read_ahead_test, a_long_stream_is_read_ahead_and_passes_by) {
  open(512 * kib, 256 * kib);
  for (std::uint64_t block = 0; block < 1024; ++block) read(block * 4096, 4096);
  EXPECT_GT(figure("prefetch_used_blocks"), 900);
  EXPECT_LE(figure("ram_used_bytes"), 256 * kib);
  EXPECT_GT(figure("streamed_blocks"), 900);
}

TEST_F(read_ahead_test, four_readers_at_once_are_followed_and_the_memory_is_bounded) {
  open(2 * mib);
  for (std::uint64_t block = 0; block < 512; ++block)
    for (std::uint64_t reader = 0; reader < 4; ++reader) read(reader * 8 * mib + block * 4096, 4096);
  EXPECT_GT(figure("prefetch_used_blocks"), 4 * 480);
  EXPECT_LE(figure("prefetched_blocks") - figure("prefetch_used_blocks"), 8 * mib / 4096);
}

TEST_F(read_ahead_test, what_is_written_after_it_was_read_ahead_is_read_anew) {
  open(512 * kib);
  for (std::uint64_t block = 0; block < 1024; ++block) {
    if (block % 5 == 0) {
      const std::uint64_t ahead = block + 1 + random_() % 100;
      write(*channel_, ahead * 4096, 4096, changed_[ahead] = static_cast<std::uint8_t>(100 + block % 100));
    }
    read(block * 4096, 4096);
  }
  EXPECT_GT(figure("prefetch_used_blocks"), 300);
}

TEST_F(read_ahead_test, errors_are_the_readers_own) {
  open(512 * kib);
  world_.sim().medium_error("/image", 100 * 4096, 4096);
  for (std::uint64_t block = 0; block < 256; ++block) {
    test_request r(verb::read, block * 4096, 4096, payload(random_, std::vector<std::uint8_t>(4096)));
    EXPECT_EQ(run(*channel_, r), block == 100 ? status::medium_error : status::good) << block;
  }
}

TEST_F(read_ahead_test, a_stream_that_does_not_go_on_gives_its_memory_back) {
  open(512 * kib);
  for (std::uint64_t block = 0; block < 64; ++block) read(block * 4096, 4096);
  EXPECT_GT(world_.loop().buffers().bytes_in_use(), 0U);
  world_.sim().run_for(3 * ns_per_s);
  EXPECT_EQ(world_.loop().buffers().bytes_in_use(), 0U);
  for (std::uint64_t block = 64; block < 128; ++block) read(block * 4096, 4096);
}

}  // namespace
}  // namespace sluice::cache
