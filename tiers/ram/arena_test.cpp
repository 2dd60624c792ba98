#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "tiers/ram/ram_channel.hpp"

namespace sluice::ram {
namespace {

using sluice::store::extent;
using sluice::store::request;
using sluice::store::status;
using sluice::store::verb;

struct direct_request final : request {
  void done(status) noexcept override { FAIL() << "try_now() must not call done()"; }
};

class arena_test : public testing::Test {
 protected:
  std::unique_ptr<arena> memory_ = std::move(*arena::make(8 * mib));
  ram_channel channel_{*memory_, nullptr};

  status run(request& r) {
    status outcome = status::gone;
    EXPECT_TRUE(channel_.try_now(r, outcome));
    return outcome;
  }
  status write(std::uint64_t offset, std::vector<std::uint8_t> data) {
    direct_request r;
    const iovec part{data.data(), data.size()};
    r.what = verb::write;
    r.offset_bytes = offset;
    r.length_bytes = data.size();
    r.parts = &part;
    r.part_count = 1;
    return run(r);
  }
  std::vector<bool> mapped_pages() const {
    std::vector<bool> pages;
    for (std::uint64_t at = 0; at < memory_->size(); at += arena::page) pages.push_back(memory_->is_mapped(at));
    return pages;
  }
};

TEST_F(arena_test, a_write_of_one_sector_provisions_its_page_only) {
  EXPECT_EQ(write(3 * arena::page + 512, std::vector<std::uint8_t>(512, 7)), status::good);
  std::vector<bool> expected(memory_->size() / arena::page, false);
  expected[3] = true;
  EXPECT_EQ(mapped_pages(), expected);
  EXPECT_EQ(memory_->run_end(0, memory_->size()), 3 * arena::page);
  EXPECT_EQ(memory_->run_end(3 * arena::page, memory_->size()), 4 * arena::page);
  EXPECT_EQ(memory_->run_end(4 * arena::page, memory_->size()), memory_->size());
}

TEST_F(arena_test, discard_clears_parts_of_pages_and_frees_whole_ones) {
  EXPECT_EQ(write(0, std::vector<std::uint8_t>(4 * arena::page, 9)), status::good);
  memory_->discard(512, 3 * arena::page);
  EXPECT_EQ(*memory_->at(511), 9);
  EXPECT_EQ(*memory_->at(512), 0);
  EXPECT_EQ(*memory_->at(3 * arena::page + 511), 0);
  EXPECT_EQ(*memory_->at(3 * arena::page + 512), 9);
  EXPECT_TRUE(memory_->is_mapped(0));
  EXPECT_FALSE(memory_->is_mapped(arena::page));
  EXPECT_FALSE(memory_->is_mapped(2 * arena::page));
  EXPECT_TRUE(memory_->is_mapped(3 * arena::page));
}

TEST_F(arena_test, random_marks_and_discards_agree_with_a_page_model) {
  std::vector<bool> model(memory_->size() / arena::page, false);
  std::mt19937_64 random(42);
  for (int round = 0; round < 3000; ++round) {
    const std::uint64_t first = random() % model.size();
    const std::uint64_t count = 1 + random() % std::min<std::uint64_t>(model.size() - first, 300);
    const bool mark = random() % 2 == 0;
    if (mark) {
      std::memset(memory_->at(first * arena::page), 0xa5, count * arena::page);
      memory_->mark(first * arena::page, count * arena::page);
    } else {
      memory_->discard(first * arena::page, count * arena::page);
    }
    std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(first), count, mark);
  }
  EXPECT_EQ(mapped_pages(), model);
  for (std::uint64_t number = 0; number < model.size(); ++number) {
    ASSERT_EQ(*memory_->at(number * arena::page + 77), model[number] ? 0xa5 : 0);
  }
}

TEST_F(arena_test, write_zeroes_keeps_the_range_mapped_whatever_its_size) {
  for (const std::uint64_t length : {std::uint64_t{512}, 64 * kib, 2 * mib}) {
    std::memset(memory_->at(0), 1, length);
    memory_->mark(0, length);
    memory_->write_zeroes(0, length);
    EXPECT_EQ(*memory_->at(length - 1), 0);
    EXPECT_EQ(memory_->run_end(0, length), length);
    EXPECT_TRUE(memory_->is_mapped(0));
  }
}

TEST_F(arena_test, pointers_survive_growth_and_a_shrunk_range_returns_as_zeroes) {
  EXPECT_EQ(write(4 * mib, std::vector<std::uint8_t>(512, 3)), status::good);
  std::uint8_t* there = memory_->at(4 * mib);
  ASSERT_TRUE(memory_->resize(64 * mib));
  EXPECT_EQ(memory_->at(4 * mib), there);
  EXPECT_EQ(*there, 3);
  ASSERT_TRUE(memory_->resize(1 * mib));
  EXPECT_EQ(*there, 0) << "a borrowed page must stay readable after a shrink";
  *there = 5;
  memory_->mark(4 * mib, 1);
  ASSERT_TRUE(memory_->resize(8 * mib));
  EXPECT_EQ(*there, 0);
  EXPECT_FALSE(memory_->is_mapped(4 * mib));
}

TEST(arena_room, thousands_of_stores_fit_and_each_can_double) {
  std::vector<std::unique_ptr<arena>> all;
  for (int i = 0; i < 4000; ++i) {
    auto made = arena::make(4 * gib);
    ASSERT_TRUE(made) << i << ": " << made.error().message;
    all.push_back(std::move(*made));
  }
  std::uint8_t* const there = all.back()->at(4 * gib - 1);
  *there = 7;
  EXPECT_TRUE(all.back()->check_size(8 * gib));
  ASSERT_TRUE(all.back()->resize(8 * gib));
  EXPECT_EQ(all.back()->at(4 * gib - 1), there);
  EXPECT_EQ(*there, 7);
  EXPECT_EQ(*all.back()->at(8 * gib - 1), 0);
}

TEST(arena_room, one_store_alone_has_room_for_hundreds_of_gibibytes) {
  const auto made = arena::make(gib);
  ASSERT_TRUE(made);
  EXPECT_TRUE((*made)->check_size(256 * gib));
  EXPECT_FALSE((*made)->check_size(64 * tib));
}

TEST_F(arena_test, growth_beyond_the_reservation_is_refused) {
  const auto refused = memory_->resize(65 * tib);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::no_space);
  EXPECT_EQ(memory_->size(), 8 * mib);
}

TEST_F(arena_test, borrow_lends_slices_of_at_most_a_mebibyte) {
  std::vector<memory::slice> lent;
  ASSERT_TRUE(channel_.borrow(512, 2 * mib + 512, lent));
  ASSERT_EQ(lent.size(), 3U);
  EXPECT_EQ(lent[0].data(), memory_->at(512));
  EXPECT_EQ(lent[1].data(), memory_->at(512 + mib));
  EXPECT_EQ(lent[2].size(), 512U);
  EXPECT_TRUE(lent[0].borrowed());
}

TEST_F(arena_test, write_same_of_any_pattern_length_repeats_from_the_start_of_the_range) {
  std::vector<std::uint8_t> pattern(1536);
  for (std::size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<std::uint8_t>(i * 7);
  const iovec part{pattern.data(), pattern.size()};
  direct_request r;
  r.what = verb::write_same;
  r.offset_bytes = 512;
  r.length_bytes = 1536 * 100;
  r.parts = &part;
  r.part_count = 1;
  ASSERT_EQ(run(r), status::good);
  for (std::uint64_t i = 0; i < r.length_bytes; ++i) ASSERT_EQ(*memory_->at(512 + i), pattern[i % 1536]) << i;
  EXPECT_EQ(*memory_->at(511), 0);
  EXPECT_EQ(*memory_->at(512 + r.length_bytes), 0);
}

TEST_F(arena_test, what_takes_longer_than_a_turn_is_not_done_on_the_spot) {
  direct_request r;
  r.what = verb::write_same;
  r.length_bytes = 8 * mib;
  status outcome;
  EXPECT_FALSE(channel_.try_now(r, outcome));
}

// Neighbouring sectors of one page from two threads: none may lose the other's octets, nor leave data behind a clear
// provisioning bit.
TEST_F(arena_test, two_cores_share_a_page_without_losing_bytes) {
  constexpr std::uint64_t rounds = 20000;
  const auto worker = [this](std::uint64_t sector) {
    std::mt19937_64 random(sector);
    ram_channel mine(*memory_, nullptr);
    std::vector<std::uint8_t> data(512);
    const iovec part{data.data(), data.size()};
    for (std::uint64_t i = 0; i < rounds; ++i) {
      direct_request r;
      r.offset_bytes = random() % 8 * arena::page + sector * 512;
      r.length_bytes = 512;
      r.parts = &part;
      r.part_count = 1;
      std::uint8_t expected = 0;
      status outcome;
      if (random() % 2 == 0) {
        r.what = verb::discard;
      } else {
        r.what = verb::write;
        expected = static_cast<std::uint8_t>(random() | 1);
        std::memset(data.data(), expected, data.size());
      }
      if (!mine.try_now(r, outcome) || *memory_->at(r.offset_bytes + 511) != expected) {
        ADD_FAILURE() << "round " << i;
        return;
      }
      if (expected != 0 && !memory_->is_mapped(r.offset_bytes)) ADD_FAILURE() << "unmapped in round " << i;
    }
  };
  std::thread other(worker, 1);
  worker(0);
  other.join();
}

}  // namespace
}  // namespace sluice::ram
