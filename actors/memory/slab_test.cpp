#include "actors/memory/slab.hpp"

#include <gtest/gtest.h>

#include <random>

namespace sluice::memory {

TEST(pool, hands_out_page_aligned_blocks_and_takes_them_back) {
  pool p(64 * mib);
  for (std::uint32_t size : {1u, 4096u, 4097u, 65536u, 1048576u}) {
    slice s = p.take(size);
    ASSERT_EQ(s.size(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(s.data()) % 4096, 0u);
  }
  EXPECT_EQ(p.bytes_in_use(), 0u);
}

TEST(pool, keeps_a_block_until_its_last_slice_goes) {
  pool p(64 * mib);
  slice tail;
  std::uint8_t* where;
  {
    slice whole = p.take(100);
    where = whole.data();
    tail = whole.sub(90, 10);
  }
  EXPECT_EQ(tail.data(), where + 90);
  EXPECT_EQ(p.bytes_in_use(), 4096u);
  tail = {};
  EXPECT_EQ(p.bytes_in_use(), 0u);
}

TEST(pool, answers_empty_at_its_limit_and_recovers) {
  pool p(4 * mib);
  std::vector<slice> held;
  for (;;) {
    slice s = p.take(1048576);
    if (s.empty()) break;
    held.push_back(std::move(s));
  }
  EXPECT_EQ(held.size(), 4u);
  held.pop_back();
  EXPECT_FALSE(p.take(1048576).empty());
}

TEST(pool, splits_blocks_and_makes_them_whole_again) {
  pool p(8 * mib);
  for (int round = 0; round < 40; ++round) {
    std::vector<slice> small;
    for (slice s = p.take(4096); !s.empty(); s = p.take(4096)) {
      s.data()[0] = static_cast<std::uint8_t>(small.size());
      small.push_back(std::move(s));
    }
    ASSERT_EQ(small.size(), 2048u) << "all of it, in the smallest blocks";
    for (std::size_t i = 0; i < small.size(); ++i) ASSERT_EQ(small[i].data()[0], static_cast<std::uint8_t>(i));
    small.resize(1);  // one stays, wherever it lies
    std::vector<slice> large;
    for (slice s = p.take(1048576); !s.empty(); s = p.take(1048576)) large.push_back(std::move(s));
    ASSERT_EQ(large.size(), 7u);
    std::vector<slice> middle;
    for (slice s = p.take(262144); !s.empty(); s = p.take(262144)) middle.push_back(std::move(s));
    ASSERT_EQ(middle.size(), 3u);
    small.clear();
  }
  EXPECT_EQ(p.bytes_in_use(), 0u);
}

TEST(pool, blocks_never_overlap) {
  pool p(8 * mib);
  std::mt19937 chance(1);
  std::vector<slice> held;
  const auto fill = [](const slice& s, std::uint8_t with) {
    s.data()[0] = s.data()[s.size() / 2] = s.data()[s.size() - 1] = with;
  };
  for (int i = 0; i < 200'000; ++i) {
    if (chance() % 2) {
      slice s = p.take(1u << (12 + chance() % 9));
      if (!s.empty()) held.push_back(std::move(s));
    } else if (!held.empty()) {
      std::swap(held[chance() % held.size()], held.back());
      held.pop_back();
    }
    if (i % 1000) continue;
    for (std::size_t k = 0; k < held.size(); ++k) fill(held[k], static_cast<std::uint8_t>(k * 7));
    for (std::size_t k = 0; k < held.size(); ++k) {
      const auto expected = static_cast<std::uint8_t>(k * 7);
      ASSERT_EQ(held[k].data()[0], expected);
      ASSERT_EQ(held[k].data()[held[k].size() / 2], expected);
      ASSERT_EQ(held[k].data()[held[k].size() - 1], expected);
    }
  }
}

TEST(pool, tells_which_region_memory_lies_in) {
  pool p(12 * mib + 5);
  EXPECT_EQ(p.region_limit(), 3u);
  std::uint8_t elsewhere[64];
  EXPECT_EQ(p.region_of({elsewhere, sizeof elsewhere}), pool::no_region);
  const slice small = p.take(4096);
  std::vector<slice> large;
  for (int i = 0; i < 4; ++i) large.push_back(p.take(1048576));  // three beside the small one, one in the next region
  EXPECT_EQ(p.region_of(small.iov()), 0u);
  EXPECT_EQ(p.region_of(large.front().iov()), 0u);
  EXPECT_EQ(p.region_of(large.back().iov()), 1u);
  EXPECT_EQ(p.region_of(p.region(1)), 1u);
  auto* const begin = static_cast<std::uint8_t*>(p.region(0).iov_base);
  EXPECT_EQ(p.region_of({begin + pool::region_size - 1, 2}), pool::no_region) << "across two regions";
  EXPECT_EQ(p.region_of({begin - 1, 1}), pool::no_region);
  EXPECT_EQ(p.region_of(p.region(2)), pool::no_region) << "not usable yet";
}

TEST(slice, borrows_without_counting) {
  std::uint8_t own[16];
  slice s = slice::borrow(own, sizeof own);
  EXPECT_TRUE(s.borrowed());
  EXPECT_EQ(s.sub(4, 4).data(), own + 4);
}

}  // namespace sluice::memory
