#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <list>
#include <map>
#include <random>
#include <set>

#include "tiers/cache/policy/compared_policies.hpp"
#include "tiers/cache/policy/frequency_sketch.hpp"
#include "tiers/cache/policy/s3_fifo.hpp"
#include "tiers/cache/policy/streams.hpp"

namespace sluice::cache {
namespace {

/// A policy at work on a tier of numbers, and beside it a model of the policy that is as plain as can be: after each
/// step both hold the same blocks.
template <class Policy, class Model>
class side_by_side {
 public:
  explicit side_by_side(std::uint32_t capacity) : policy_(capacity), model_(capacity), capacity_(capacity) {
    for (slot s = capacity; s != 0; --s) free_.push_back(s - 1);
  }
  void access(block_number key) {
    model_.access(key);
    if (const auto found = slots_.find(key); found != slots_.end()) return policy_.hit(found->second);
    if (free_.empty()) {
      const slot s = policy_.victim(key);
      const auto loser = std::find_if(slots_.begin(), slots_.end(), [&](const auto& e) { return e.second == s; });
      RC_ASSERT(loser != slots_.end());
      slots_.erase(loser);
      free_.push_back(s);
    }
    slots_[key] = free_.back();
    policy_.admitted(free_.back(), key);
    free_.pop_back();
  }
  void remove(block_number key) {
    model_.remove(key);
    const auto found = slots_.find(key);
    if (found == slots_.end()) return;
    policy_.removed(found->second);
    free_.push_back(found->second);
    slots_.erase(found);
  }
  void compare() {
    std::set<block_number> held;
    for (const auto& [key, s] : slots_) held.insert(key);
    RC_ASSERT(held == model_.held());
    RC_ASSERT(held.size() <= capacity_);
  }

 private:
  Policy policy_;
  Model model_;
  std::uint32_t capacity_;
  std::map<block_number, slot> slots_;
  std::vector<slot> free_;
};

struct lru_model {
  explicit lru_model(std::uint32_t c) : capacity(c) {}
  void access(block_number key) {
    if (std::erase(order, key) == 0 && order.size() == capacity) order.pop_front();
    order.push_back(key);
  }
  void remove(block_number key) { std::erase(order, key); }
  std::set<block_number> held() const { return {order.begin(), order.end()}; }
  std::size_t capacity;
  std::deque<block_number> order;
};

/// S3-FIFO as the paper's pseudo-code has it, over deques.
struct s3_fifo_model {
  explicit s3_fifo_model(std::uint32_t c) : capacity(c), small_share(std::max(1U, c / 10)) {}
  void access(block_number key) {
    if (hits.contains(key)) {
      hits[key] = std::min(3, hits[key] + 1);
      return;
    }
    if (hits.size() == capacity) evict();
    hits[key] = 0;
    if (std::erase(ghosts, key) != 0) {
      main.push_back(key);
    } else {
      small.push_back(key);
    }
  }
  void evict() {
    for (;;) {
      if (small.size() >= small_share || main.empty()) {
        const block_number tail = small.front();
        small.pop_front();
        if (hits[tail] > 1) {
          main.push_back(tail);
          hits[tail] = 0;
          continue;
        }
        hits.erase(tail);
        ghosts.push_back(tail);
        if (ghosts.size() > capacity - std::min<std::size_t>(capacity, small_share)) ghosts.pop_front();
        return;
      }
      const block_number tail = main.front();
      main.pop_front();
      if (hits[tail] == 0) {
        hits.erase(tail);
        return;
      }
      --hits[tail];
      main.push_back(tail);
    }
  }
  void remove(block_number key) {
    std::erase(small, key);
    std::erase(main, key);
    hits.erase(key);
  }
  std::set<block_number> held() const {
    std::set<block_number> all(small.begin(), small.end());
    all.insert(main.begin(), main.end());
    return all;
  }
  std::size_t capacity, small_share;
  std::deque<block_number> small, main, ghosts;
  std::map<block_number, int> hits;
};

/// ARC after figure 4 of the paper, over deques with the oldest in front.
struct arc_model {
  explicit arc_model(std::uint32_t capacity) : c(capacity) {}
  static bool has(const std::deque<block_number>& list, block_number key) {
    return std::find(list.begin(), list.end(), key) != list.end();
  }
  void access(block_number key) {
    if (std::erase(t1, key) + std::erase(t2, key) != 0) return t2.push_back(key);
    const bool full = t1.size() + t2.size() == c;
    if (has(b1, key)) {
      p = std::min(c, p + std::max<std::size_t>(b2.size() / b1.size(), 1));
      std::erase(b1, key);
      if (full) replace(false);
      return t2.push_back(key);
    }
    if (has(b2, key)) {
      const std::size_t less = std::max<std::size_t>(b1.size() / b2.size(), 1);
      p = p > less ? p - less : 0;
      std::erase(b2, key);
      if (full) replace(true);
      return t2.push_back(key);
    }
    if (full) {
      if (t1.size() + b1.size() >= c) {
        if (t1.size() >= c) {
          t1.pop_front();
          return t1.push_back(key);
        }
        if (!b1.empty()) b1.pop_front();
      } else if (t1.size() + t2.size() + b1.size() + b2.size() >= 2 * c) {
        if (!b2.empty()) b2.pop_front();
      }
      replace(false);
    }
    t1.push_back(key);
  }
  void replace(bool in_b2) {
    if (!t1.empty() && (t1.size() > p || (in_b2 && t1.size() == p) || t2.empty())) {
      remember(b1, t1.front(), c);
      t1.pop_front();
    } else {
      remember(b2, t2.front(), 2 * c);
      t2.pop_front();
    }
  }
  static void remember(std::deque<block_number>& ghosts, block_number key, std::size_t limit) {
    ghosts.push_back(key);
    if (ghosts.size() > limit) ghosts.pop_front();
  }
  void remove(block_number key) { std::erase(t1, key), std::erase(t2, key); }
  std::set<block_number> held() const {
    std::set<block_number> all(t1.begin(), t1.end());
    all.insert(t2.begin(), t2.end());
    return all;
  }
  std::size_t c, p = 0;
  std::deque<block_number> t1, t2, b1, b2;
};

template <class Policy, class Model>
void hold_against_model() {
  const auto capacity = *rc::gen::inRange<std::uint32_t>(1, 40);
  side_by_side<Policy, Model> both(capacity);
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  std::mt19937_64 random(seed);
  const block_number range = 1 + random() % (3 * capacity + 2);
  block_number scan = 1000;
  for (int i = 0; i < 600; ++i) {
    const auto dice = random() % 20;
    if (dice == 0) {
      both.remove(random() % range);
    } else if (dice < 4) {
      both.access(scan++);
    } else {
      both.access(std::min(random() % range, random() % range));
    }
    both.compare();
  }
}

TEST(policies, lru_is_its_model) {
  EXPECT_TRUE(rc::check(hold_against_model<lru, lru_model>));
}
TEST(policies, s3_fifo_is_its_model) {
  EXPECT_TRUE(rc::check(hold_against_model<s3_fifo, s3_fifo_model>));
}
TEST(policies, arc_is_its_model) {
  EXPECT_TRUE(rc::check(hold_against_model<arc, arc_model>));
}

TEST(s3_fifo, a_scan_leaves_the_warm_blocks_alone) {
  constexpr std::uint32_t capacity = 1000;
  s3_fifo policy(capacity);
  std::set<slot> warm;
  for (slot s = 0; s < capacity; ++s) {
    policy.admitted(s, s);
    if (s % 2 == 0) continue;
    policy.hit(s);
    policy.hit(s);
    warm.insert(s);
  }
  for (block_number scanned = 10'000; scanned < 20'000; ++scanned) {
    const slot s = policy.victim(scanned);
    ASSERT_FALSE(warm.contains(s));
    policy.admitted(s, scanned);
  }
  EXPECT_TRUE(policy.is_warm(*warm.begin()));
}

TEST(s3_fifo, who_is_asked_for_without_end_costs_a_bounded_search) {
  constexpr std::uint32_t capacity = 20'000;
  s3_fifo policy(capacity);
  for (slot s = 0; s < capacity; ++s) policy.admitted(s, s);
  for (slot s = 0; s < capacity; ++s)
    for (int i = 0; i < 3; ++i) policy.hit(s);
  for (block_number next = capacity; next < capacity + 100; ++next) policy.admitted(policy.victim(next), next);
}

TEST(ghost_queue, is_a_bounded_queue_of_keys) {
  EXPECT_TRUE(rc::check([](std::vector<std::pair<std::uint8_t, std::uint8_t>> steps) {
    const auto capacity = *rc::gen::inRange<std::uint32_t>(0, 30);
    ghost_queue ghosts(capacity);
    std::deque<block_number> model;
    for (const auto& [what, key] : steps) {
      if (what % 8 == 0) {
        RC_ASSERT(ghosts.erase(key) == (std::erase(model, key) != 0));
      } else if (what % 8 == 1) {
        ghosts.forget_oldest();
        if (!model.empty()) model.pop_front();
      } else {
        ghosts.insert(key);
        std::erase(model, key);
        model.push_back(key);
        if (model.size() > capacity) model.pop_front();
      }
      RC_ASSERT(ghosts.size() == model.size());
      for (block_number k = 0; k < 256; ++k)
        RC_ASSERT(ghosts.contains(k) == (std::find(model.begin(), model.end(), k) != model.end()));
    }
  }));
}

TEST(frequency_sketch, never_says_less_than_the_truth) {
  frequency_sketch sketch(1024);
  std::map<block_number, unsigned> truth;
  std::mt19937_64 random(3);
  for (int i = 0; i < 9000; ++i) {
    const block_number key = std::min(random() % 3000, random() % 3000);
    sketch.add(key);
    ++truth[key];
  }
  unsigned too_much = 0;
  for (const auto& [key, count] : truth) {
    const unsigned said = sketch.estimate(key);
    ASSERT_GE(said, std::min(count, frequency_sketch::most)) << key;
    too_much += said - std::min(count, frequency_sketch::most);
  }
  EXPECT_LT(too_much, truth.size()) << "on average less than one too many";
}

TEST(frequency_sketch, forgets_by_halves) {
  frequency_sketch sketch(8);
  for (int i = 0; i < 15; ++i) sketch.add(7);
  EXPECT_EQ(sketch.estimate(7), 15U);
  for (block_number key = 100; sketch.estimate(7) == 15 && key < 10'000; ++key) sketch.add(key);
  EXPECT_EQ(sketch.estimate(7), 7U);
}

TEST(stream_detector, follows_streams_that_take_turns) {
  stream_detector streams;
  for (std::uint64_t step = 0; step < 5; ++step)
    for (std::uint64_t stream = 0; stream < 16; ++stream)
      ASSERT_EQ(streams.observe(stream * 1'000'000 + step * 4096, 4096), (step + 1) * 4096);
  EXPECT_EQ(streams.observe(77'777'777, 512), 512U) << "a read somewhere else begins a stream of its own";
  EXPECT_EQ(streams.observe(5 * 4096, 4096), 4096U) << "which the one used the longest ago gave way for";
}

}  // namespace
}  // namespace sluice::cache
