#include <gtest/gtest.h>

#include "fabrics/vhost/test_guest.hpp"

namespace sluice::vhost {

using found = split_ring::found;
constexpr auto next_flag = driver_ring::next_flag, write_flag = driver_ring::write_flag,
               indirect_flag = driver_ring::indirect_flag;

TEST(split_ring, chains_are_taken_and_given_back) {
  test_guest g;
  ASSERT_TRUE(g.bound);
  EXPECT_EQ(g.ring.pop(*g.memory, g.taken), found::nothing);
  g.driver.set(3, {test_guest::low, 51, next_flag, 5});
  g.driver.set(5, {test_guest::low + 0xf00, 0x200, next_flag | write_flag, 1});
  g.driver.set(1, {test_guest::apart, 8, write_flag, 0});
  for (int round = 0; round < 70000; ++round) {  // beyond 2^16
    g.driver.make_available(3);
    ASSERT_EQ(g.ring.pop(*g.memory, g.taken), found::one);
    ASSERT_EQ(g.ring.pop(*g.memory, g.taken), found::nothing);
    g.ring.push(3, 7);
    const auto back = g.driver.next_used();
    ASSERT_TRUE(back);
    ASSERT_EQ(back->head, 3u);
    ASSERT_EQ(back->written, 7u);
  }
  g.driver.make_available(3);
  ASSERT_EQ(g.ring.pop(*g.memory, g.taken), found::one);
  EXPECT_EQ(g.taken.head, 3);
  EXPECT_EQ(g.taken.readable_bytes, 51u);
  EXPECT_EQ(g.taken.writable_bytes, 0x208u);
  EXPECT_EQ(g.taken.readable.size(), 1u);
  EXPECT_EQ(g.taken.writable.size(), 3u) << "one of them in two regions";
}

TEST(split_ring, an_indirect_table_is_a_chain) {
  test_guest g;
  const driver_ring::descriptor table[] = {
      {test_guest::low, 51, next_flag, 2}, {0, 0, 0, 0}, {test_guest::apart, 108, write_flag, 0}};
  std::memcpy(g.second.data(), table, sizeof table);
  g.driver.set(0, {test_guest::low + 0x1000, sizeof table, indirect_flag, 0});
  g.driver.make_available(0);
  ASSERT_EQ(g.ring.pop(*g.memory, g.taken), found::one);
  EXPECT_EQ(g.taken.readable_bytes, 51u);
  EXPECT_EQ(g.taken.writable_bytes, 108u);
}

TEST(split_ring, what_can_be_no_chain_breaks_the_ring) {
  const auto breaks = [](const char* what, std::vector<driver_ring::descriptor> direct,
                         std::vector<driver_ring::descriptor> indirect = {}, std::uint16_t head = 0) {
    test_guest g;
    for (std::uint16_t i = 0; i < direct.size(); ++i) g.driver.set(i, direct[i]);
    for (std::size_t i = 0; i < indirect.size(); ++i) std::memcpy(g.second.data() + i * 16, &indirect[i], 16);
    g.driver.make_available(head);
    EXPECT_EQ(g.ring.pop(*g.memory, g.taken), found::broken) << what;
    EXPECT_STRNE(g.ring.problem(), "") << what;
  };
  const std::uint64_t low = test_guest::low, table = low + 0x1000;
  breaks("a head beyond the table", {}, {}, 8);
  breaks("a next beyond the table", {{low, 1, next_flag, 8}});
  breaks("a loop", {{low, 1, next_flag, 1}, {low, 1, next_flag, 0}});
  breaks("itself", {{low, 1, next_flag, 0}});
  breaks("memory that is not there", {{0x50000, 1, 0, 0}});
  breaks("memory that ends", {{test_guest::apart + 0xfff, 2, write_flag, 0}});
  breaks("an address that wraps", {{~std::uint64_t{0} - 1, 16, 0, 0}});
  breaks("to read behind to write", {{low, 1, next_flag | write_flag, 1}, {low, 1, 0, 0}});
  breaks("an indirect table that goes on", {{table, 16, indirect_flag | next_flag, 1}, {low, 1, 0, 0}});
  breaks("one of no length", {{table, 0, indirect_flag, 0}});
  breaks("one of half an entry", {{table, 24, indirect_flag, 0}});
  breaks("one beyond the memory", {{test_guest::apart + 0xff8, 16, indirect_flag, 0}});
  breaks("one of too many", {{table, 16 * (split_ring::max_pieces + 1), indirect_flag, 0}});
  breaks("one in one", {{table, 16, indirect_flag, 0}}, {{table, 16, indirect_flag, 0}});
  breaks("a loop in one", {{table, 32, indirect_flag, 0}}, {{low, 1, next_flag, 1}, {low, 1, next_flag, 0}});
}

TEST(split_ring, more_than_there_can_be_is_not_available) {
  test_guest g;
  wire::little::store16({g.driver.available(), 4}, 2, 9);
  EXPECT_EQ(g.ring.pop(*g.memory, g.taken), found::broken);
}

TEST(split_ring, a_ring_lies_in_memory_or_nowhere) {
  test_guest g;
  split_ring other;
  const auto binds = [&](auto change) {
    split_ring::places where = g.places();
    change(where);
    return other.bind(*g.memory, where, true, true, 0);
  };
  EXPECT_TRUE(binds([](split_ring::places&) {}));
  EXPECT_FALSE(binds([](split_ring::places& p) { p.size = 0; }));
  EXPECT_FALSE(binds([](split_ring::places& p) { p.size = 7; }));
  EXPECT_FALSE(binds([](split_ring::places& p) { p.size = 65536; }));
  EXPECT_FALSE(binds([](split_ring::places& p) { p.descriptors += 8; })) << "not aligned";
  EXPECT_FALSE(binds([](split_ring::places& p) { p.available += 1; }));
  EXPECT_FALSE(binds([](split_ring::places& p) { p.used += 2; }));
  EXPECT_FALSE(binds([](split_ring::places& p) { p.used = test_guest::user + 0xff0; })) << "it ends outside";
  EXPECT_FALSE(binds([](split_ring::places& p) { p.available = 0; }));
  EXPECT_FALSE(other.bound());
}

TEST(split_ring, signals_come_when_they_are_asked_for) {
  for (const bool event_index : {false, true}) {
    test_guest g(event_index);
    g.driver.set(0, {test_guest::low, 1, 0, 0});
    const auto pass = [&] {
      g.driver.make_available(0);
      ASSERT_EQ(g.ring.pop(*g.memory, g.taken), found::one);
      g.ring.push(0, 0);
    };
    pass();
    EXPECT_TRUE(g.ring.wants_signal());
    while (g.driver.next_used()) {
    }
    g.driver.suppress_signals();
    pass();
    EXPECT_FALSE(g.ring.wants_signal());
    while (g.driver.next_used()) {
    }
    EXPECT_TRUE(g.driver.ask_for_signal());
    pass();
    EXPECT_FALSE(g.driver.ask_for_signal() && g.ring.wants_signal());
    // Kicks, the other way.
    g.ring.ask_for_kicks();
    g.driver.make_available(0);
    EXPECT_TRUE(g.driver.wants_kick());
    g.ring.suppress_kicks();
    EXPECT_EQ(g.ring.pop(*g.memory, g.taken), found::one);
    g.driver.make_available(0);
    EXPECT_FALSE(g.driver.wants_kick());
  }
}

}  // namespace sluice::vhost
