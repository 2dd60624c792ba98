#include "actors/memory/account.hpp"

#include <gtest/gtest.h>

#include <deque>

#include "actors/memory/slab.hpp"

namespace sluice::memory {
namespace {

/// Takes as much as it gets, in pieces.
std::uint64_t all_it_gets(ledger& of, account& a, std::uint64_t piece = 64 * kib) {
  while (of.admit(a, piece)) continue;
  return a.used();
}

TEST(ledger, a_floor_is_granted_whatever_the_others_hold) {
  ledger l(256 * mib);
  account& strangers = l.strangers();
  std::deque<share> greedy;
  for (int i = 0; i < 3; ++i) greedy.push_back(share::open(l));
  share modest = share::open(l);
  for (share& s : greedy) EXPECT_GT(all_it_gets(l, *s), 16 * mib);
  all_it_gets(l, strangers);
  all_it_gets(l, l.own());
  EXPECT_EQ(l.free_beyond(), 0u);
  EXPECT_EQ((*modest).floor(), ledger::largest_floor);
  EXPECT_TRUE(l.admit(*modest, ledger::largest_floor));
  EXPECT_FALSE(l.admit(*modest, 4096));
  EXPECT_LE(l.own().used() + strangers.used() + (*greedy[0]).used() + (*greedy[1]).used() + (*greedy[2]).used() +
                (*modest).used(),
            l.limit());
  l.give(*modest, ledger::largest_floor);
  for (share& s : greedy) l.give(*s, (*s).used());
  l.give(strangers, strangers.used());
  l.give(l.own(), l.own().used());
}

TEST(ledger, whoever_wants_all_leaves_some_for_who_comes_next) {
  ledger l(256 * mib);
  std::deque<share> greedy;
  for (unsigned k = 1; k <= 8; ++k) {
    greedy.push_back(share::open(l));
    share next = share::open(l);              // before they took, so that floors stay what they are
    for (int round = 0; round < 64; ++round)  // in turns
      for (share& s : greedy) {
        l.give(*s, (*s).used());
        all_it_gets(l, *s);
      }
    std::uint64_t least = ~0ull, most = 0;
    for (share& s : greedy) {
      least = std::min(least, (*s).used());
      most = std::max(most, (*s).used());
    }
    EXPECT_LE(most - least, most / 2) << k << " greedy sessions";
    EXPECT_GT(all_it_gets(l, *next), (*next).floor() + 4 * mib) << k << " greedy sessions";
    l.give(*next, (*next).used());
  }
  for (share& s : greedy) l.give(*s, (*s).used());
}

TEST(ledger, strangers_get_no_more_than_their_part_and_nobody_gets_that) {
  ledger l(256 * mib);
  account& strangers = l.strangers();
  EXPECT_EQ(l.strangers_limit(), 16 * mib);
  share only = share::open(l);
  all_it_gets(l, *only);
  all_it_gets(l, l.own());
  EXPECT_EQ(all_it_gets(l, strangers), 16 * mib);
  l.give(strangers, strangers.used());
  l.give(*only, (*only).used());
  l.give(l.own(), l.own().used());
}

TEST(ledger, floors_shrink_with_the_number_of_shares_and_there_is_an_end) {
  ledger l(16 * mib);
  l.strangers();
  std::deque<share> shares;
  for (;;) {
    share s = share::open(l);
    if (!s) break;
    shares.push_back(std::move(s));
    EXPECT_GE((*shares.back()).floor(), ledger::min_floor);
    EXPECT_LE(shares.size() * (*shares.back()).floor(), 15 * mib / 2);
  }
  EXPECT_EQ(shares.size(), 480u);
  shares.pop_back();
  EXPECT_TRUE(share::open(l));
}

TEST(ledger, what_a_closed_share_still_has_is_counted_until_it_comes_back) {
  pool p(64 * mib);
  ledger& l = p.accounts();
  const std::uint64_t before = l.free_beyond();
  std::vector<slice> lent;
  {
    share s = share::open(l);
    for (int i = 0; i < 8; ++i) lent.push_back(p.take(mib, *s));
  }
  EXPECT_EQ(l.shares(), 0u);
  EXPECT_EQ(l.free_beyond(), before - 8 * mib);
  lent.clear();
  EXPECT_EQ(l.free_beyond(), before);
}

TEST(ledger, memory_for_speed_alone_ends_earlier_than_memory_that_must_be_had) {
  ledger l(256 * mib);
  share s = share::open(l), other = share::open(l);
  const auto most = [&](ledger::claim as) {
    while (l.admit(*s, 64 * kib, as)) continue;
    const std::uint64_t got = (*s).used();
    l.give(*s, got);
    return got;
  };
  const std::uint64_t spare = most(ledger::claim::spare), ordinary = most(ledger::claim::ordinary);
  all_it_gets(l, *other);
  EXPECT_LT(most(ledger::claim::spare), spare);
  EXPECT_LE(spare, ordinary);
  EXPECT_GT(most(ledger::claim::pressing), most(ledger::claim::ordinary));
  l.give(*other, (*other).used());
}

TEST(charge, is_paid_and_given_back) {
  ledger l(64 * mib);
  account& strangers = l.strangers();
  {
    charge c(l, strangers);
    EXPECT_TRUE(c.set(1 * mib));
    EXPECT_TRUE(c.set(3 * mib));
    EXPECT_FALSE(c.set(5 * mib));
    EXPECT_EQ(strangers.used(), 3 * mib);
    EXPECT_TRUE(c.set(1000));
    charge moved = std::move(c);
    EXPECT_EQ(strangers.used(), 1000u);
  }
  EXPECT_EQ(strangers.used(), 0u);
  EXPECT_TRUE(charge().set(1ull << 40)) << "nobody counts";
}

struct noting final : waiter {
  explicit noting(std::vector<int>& into, int who) : into_(into), who_(who) {}
  void on_memory() noexcept override { into_.push_back(who_); }
  std::vector<int>& into_;
  int who_;
};

TEST(ledger, waiters_take_turns) {
  pool p(16 * mib);
  ledger& l = p.accounts();
  std::vector<int> woken;
  noting a(woken, 1), b(woken, 2), c(woken, 3);
  slice first = p.take(4096), second = p.take(4096), third = p.take(4096), fourth = p.take(4096);
  l.wait(a);
  l.wait(b);
  l.wait(c);
  l.wait(b);  // already
  first = {};
  l.wait(a);
  second = {};
  l.forget(a);
  EXPECT_FALSE(a.waiting());
  third = {};
  fourth = {};
  EXPECT_EQ(woken, (std::vector<int>{1, 2, 3}));
}

}  // namespace
}  // namespace sluice::memory
