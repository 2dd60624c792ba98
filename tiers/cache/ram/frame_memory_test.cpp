#include "tiers/cache/ram/frame_memory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace sluice::cache {
namespace {

TEST(frame_memory, gives_aligned_blocks_up_to_its_limit_and_takes_them_back) {
  frame_memory memory(3 * block_bytes);
  std::set<std::uint8_t*> taken;
  for (int i = 0; i < 3; ++i) taken.insert(memory.take());
  EXPECT_EQ(taken.size(), 3U);
  for (const std::uint8_t* each : taken) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(each) % block_bytes, 0U);
  EXPECT_EQ(memory.take(), nullptr);
  memory.give_back(*taken.begin(), 0);
  EXPECT_EQ(memory.take(), *taken.begin());
  EXPECT_EQ(memory.bytes_touched(), 3 * block_bytes);
}

TEST(frame_memory, what_is_lent_is_not_taken_before_the_last_slice_has_come_back) {
  frame_memory memory(1 * block_bytes);
  std::uint8_t* const block = memory.take();
  frame_memory::loan last = 0;
  memory::slice first = memory.lend(block, 512, last);
  memory::slice second = memory.lend(block + 512, 512, last);
  memory::slice copy = second.sub(1, 2);
  memory.give_back(block, last);
  EXPECT_TRUE(memory.is_lent(last));
  EXPECT_EQ(memory.take(), nullptr);
  first = {};
  second = {};
  EXPECT_EQ(memory.take(), nullptr);
  copy = {};
  EXPECT_FALSE(memory.is_lent(last));
  EXPECT_FALSE(memory.is_anything_lent());
  EXPECT_EQ(memory.take(), block);
}

TEST(frame_memory, lends_no_more_when_all_rounds_are_under_way) {
  frame_memory memory(1 * mib);
  std::uint8_t* const block = memory.take();
  std::vector<memory::slice> out;
  for (std::uint32_t i = 0; i < frame_memory::max_rounds * frame_memory::loans_in_a_round; ++i) {
    frame_memory::loan last = 0;  // as of a frame that was never lent
    out.push_back(memory.lend(block, 1, last));
    ASSERT_FALSE(out.back().empty());
  }
  frame_memory::loan last = 0;
  EXPECT_TRUE(memory.lend(block, 1, last).empty());
  out.clear();
  EXPECT_FALSE(memory.lend(block, 1, last).empty());
}

/// Against the plain truth: who holds slices of which block.
TEST(frame_memory, never_gives_what_somebody_holds_and_in_the_end_all_comes_back) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    std::mt19937_64 random(seed);
    constexpr std::uint32_t blocks = 40;
    frame_memory memory(blocks * block_bytes);
    struct frame {
      std::uint8_t* memory = nullptr;
      frame_memory::loan loan = 0;
    };
    std::vector<frame> frames(20);
    std::vector<std::pair<std::uint8_t*, memory::slice>> out;
    std::map<std::uint8_t*, unsigned> held;
    for (int step = 0; step < 20'000; ++step) {
      frame& f = frames[random() % frames.size()];
      const auto what = random() % 16;
      if (what < 8 && f.memory) {
        out.emplace_back(f.memory, memory.lend(f.memory, 8, f.loan));
        ASSERT_FALSE(out.back().second.empty());
        ++held[f.memory];
      } else if (what < 15 && !out.empty()) {
        std::swap(out[random() % out.size()], out.back());
        --held[out.back().first];
        out.pop_back();
      } else {
        if (f.memory) {
          ASSERT_TRUE(held[f.memory] == 0 || memory.is_lent(f.loan)) << "seed " << seed;
          memory.give_back(f.memory, f.loan);
        }
        f = {memory.take(), 0};
        ASSERT_TRUE(!f.memory || held[f.memory] == 0) << "seed " << seed;
        for (const frame& other : frames) ASSERT_TRUE(&other == &f || !f.memory || other.memory != f.memory);
      }
    }
    out.clear();
    EXPECT_FALSE(memory.is_anything_lent());
    for (frame& f : frames)
      if (f.memory) memory.give_back(f.memory, f.loan);
    std::set<std::uint8_t*> all;
    for (std::uint32_t i = 0; i < 10 * blocks; ++i)
      if (std::uint8_t* const taken = memory.take()) all.insert(taken);
    EXPECT_EQ(all.size(), blocks) << "seed " << seed;
  }
}

}  // namespace
}  // namespace sluice::cache
