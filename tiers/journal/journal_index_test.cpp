#include "tiers/journal/journal_index.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "tiers/journal/range_locks.hpp"

namespace sluice::journal {
namespace {

TEST(journal_index, agrees_with_a_map) {
  constexpr slot slots = 64;
  journal_index index(slots);
  std::map<block_number, slot> model;
  std::map<slot, block_number> used;
  std::mt19937_64 random(1);
  for (int step = 0; step < 20000; ++step) {
    const auto where = static_cast<slot>(random() % slots);
    if (const auto found = used.find(where); found != used.end()) {
      index.remove(found->second, where);
      if (const auto at = model.find(found->second); at != model.end() && at->second == where) model.erase(at);
      used.erase(found);
      index.free_removed();
    } else {
      const block_number block = random() % 40;
      index.insert(block, {where, kind::data, static_cast<std::uint32_t>(where * 3)});
      model[block] = where;
      used[where] = block;
    }
    ASSERT_EQ(index.blocks(), model.size());
    const block_number looked = random() % 40;
    const auto found = index.find(looked);
    const auto expected = model.find(looked);
    ASSERT_EQ(found.has_value(), expected != model.end());
    if (found) {
      ASSERT_EQ(found->where, expected->second);
      ASSERT_EQ(found->crc, found->where * 3);
    }
  }
}

TEST(journal_index, is_read_while_it_changes) {
  constexpr slot slots = 256;
  journal_index index(slots);
  for (slot s = 0; s < slots; s += 2) index.insert(s, {s, kind::data, s});
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> wrong = 0;
  std::thread reader([&] {
    std::mt19937_64 random(2);
    while (!stop) {
      const block_number block = random() % slots;
      const auto found = index.find(block);
      // Even blocks stay where they are; odd ones come and go, in any odd slot.
      if (block % 2 == 0 ? !found || found->where != block : found && found->crc != block) ++wrong;
    }
  });
  std::mt19937_64 random(3);
  std::vector<std::pair<block_number, slot>> odd;
  for (int round = 0; round < 20000; ++round) {
    if (odd.size() < 64) {
      const slot where = static_cast<slot>(random() % (slots / 2) * 2 + 1);
      const block_number block = random() % (slots / 2) * 2 + 1;
      bool taken = false;
      for (const auto& [b, s] : odd) taken |= s == where || b == block;
      if (taken) continue;
      index.insert(block, {where, kind::data, static_cast<std::uint32_t>(block)});
      odd.emplace_back(block, where);
    } else {
      for (const auto& [b, s] : odd) index.remove(b, s);
      index.free_removed();
      odd.clear();
    }
  }
  stop = true;
  reader.join();
  EXPECT_EQ(wrong, 0U);
}

class holder final : public range_locks::holder {
 public:
  holder(block_number from, block_number to) {
    first = from;
    last = to;
  }
  void granted() noexcept override { ++grants; }
  int grants = 0;
};

TEST(range_locks, exclude_what_overlaps_and_keep_the_order) {
  range_locks locks;
  holder a(0, 4), b(2, 6), c(5, 8), d(10, 12), e(3, 4);
  EXPECT_TRUE(locks.lock(a));
  EXPECT_FALSE(locks.lock(b));
  EXPECT_FALSE(locks.lock(c)) << "b was first";
  EXPECT_TRUE(locks.lock(d));
  EXPECT_FALSE(locks.lock(e));
  locks.unlock(a);
  EXPECT_EQ(b.grants, 1);
  EXPECT_EQ(c.grants + e.grants, 0);
  locks.unlock(b);
  EXPECT_EQ(c.grants, 1);
  EXPECT_EQ(e.grants, 1);
  locks.unlock(c);
  locks.unlock(e);
  locks.unlock(d);
  EXPECT_TRUE(locks.empty());
}

}  // namespace
}  // namespace sluice::journal
