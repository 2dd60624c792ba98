#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "actors/reactor/simulated.hpp"
#include "fabrics/iscsi/test_turns.hpp"
#include "fabrics/iscsi/turn_queue.hpp"

/// How strangers share a core's time and memory.
namespace sluice::iscsi {
namespace {

using purpose = turn_queue::purpose;

struct busy_entry final : turn_queue::entry {
  busy_entry(turn_queue& in, std::vector<int>& log_of, int number, int times, const std::string& address)
      : queue(in), log(log_of), who(number), left(times) {
    queue.arrive(*this, address);
    queue.enter(*this);
  }
  ~busy_entry() override { queue.depart(*this); }
  void take_turn() noexcept override {
    log.push_back(who);
    if (--left > 0) queue.enter(*this);
  }
  void make_way() noexcept override { made_way = true; }
  std::uint64_t holds() const noexcept override { return memory; }
  turn_queue& queue;
  std::vector<int>& log;
  int who, left;
  std::uint64_t memory = 4096;
  bool made_way = false;
};

TEST(turn_queue, strangers_take_turns_of_one_pdu_and_few_a_turn_of_the_loop) {
  reactor::sim_world world(1);
  const auto loop = world.make_loop(0);
  std::vector<int> log;
  auto queue = std::make_shared<turn_queue>(*loop);
  std::deque<busy_entry> entries;
  bool started = false;
  std::unique_ptr<turn_counter> counter;
  loop->post([&] {
    for (int i = 0; i < 10; ++i) entries.emplace_back(*queue, log, i, 5, "10.0.0." + std::to_string(i));
    started = true;
  });
  counter = std::make_unique<turn_counter>(*loop);
  ASSERT_TRUE(world.run_until([&] { return log.size() == 50; }, 10 * ns_per_s));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(log[static_cast<std::size_t>(i)], i % 10);
  EXPECT_GE(counter->turns, 50 / turn_queue::turns_at_once - 2);
  counter->over = true;
  entries.clear();
  queue.reset();
  world.run_for(ns_per_ms);
}

TEST(turn_queue, who_is_alone_at_an_address_makes_way_last) {
  reactor::sim_world world(1);
  const auto loop = world.make_loop(0);
  std::vector<int> log;
  auto queue = std::make_shared<turn_queue>(*loop);
  std::deque<busy_entry> entries;
  const std::vector<std::string> addresses = {"10.0.0.9", "10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3"};
  for (int i = 0; i < 6; ++i) entries.emplace_back(*queue, log, i, 1, addresses[static_cast<std::size_t>(i)]);
  const auto gone = [&] {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < entries.size(); ++i)
      if (entries[i].made_way) out.push_back(i);
    return out;
  };
  using numbers = std::vector<std::size_t>;
  queue->make_room(entries[5]);
  EXPECT_EQ(gone(), numbers{1}) << "the first of the address that has most, not the first of all";
  queue->make_room(entries[3]);
  EXPECT_EQ(gone(), (numbers{1, 2})) << "one that has many for its own";
  queue->make_room(entries[3]);
  EXPECT_EQ(gone(), (numbers{0, 1, 2})) << "each is alone now";
  queue->depart(entries[3]);  // it has a session
  queue->depart(entries[5]);
  queue->make_room(entries[4]);
  EXPECT_FALSE(entries[4].made_way) << "not for its own sake";
  entries.clear();
  world.run_for(ns_per_ms);
}

/// A core of strangers, and who had a turn.
struct room {
  reactor::sim_world world{1};
  std::unique_ptr<reactor::loop> loop = world.make_loop(0);
  std::shared_ptr<turn_queue> queue = std::make_shared<turn_queue>(*loop);
  std::vector<int> log;
  std::deque<busy_entry> entries;
  ~room() {
    entries.clear();
    world.run_for(10 * ns_per_ms);
  }
  void add(int who, int times, const std::string& address, purpose of = purpose::beginning) {
    queue->set_purpose(entries.emplace_back(*queue, log, who, times, address), of);
  }
};

TEST(turn_queue, addresses_take_turns_whatever_their_numbers) {
  room r;
  for (int i = 0; i < 100; ++i) r.add(1, 1, "10.0.0.1");
  r.add(2, 3, "10.0.0.2");
  r.world.run_for(10 * ns_per_ms);
  ASSERT_EQ(r.log.size(), 103u);
  EXPECT_EQ(std::vector(r.log.begin(), r.log.begin() + 6), (std::vector{1, 2, 1, 2, 1, 2}));
}

TEST(turn_queue, a_login_that_proves_itself_comes_first_and_nobody_starves) {
  room r;
  constexpr purpose all[] = {purpose::other, purpose::accepting, purpose::beginning, purpose::admitted,
                             purpose::proving};
  for (const purpose each : all) r.add(static_cast<int>(each), 1000, "10.0.0.1", each);
  ASSERT_TRUE(r.world.run_until([&] { return r.log.size() >= 380; }, r.world.now_ns() + ns_per_s));
  EXPECT_TRUE(std::all_of(r.log.begin(), r.log.begin() + 16,
                          [](int who) { return who == static_cast<int>(purpose::proving); }));
  for (const purpose each : all) {
    const auto turns = std::count(r.log.begin(), r.log.begin() + 380, static_cast<int>(each));
    EXPECT_GE(turns, each == purpose::other ? 20 : 40) << static_cast<int>(each);
  }
}

TEST(turn_queue, a_flood_has_its_part_of_the_time_and_waits_beyond_it) {
  room r;
  for (int i = 0; i < 50; ++i) r.add(i, 1'000'000, "10.0.0." + std::to_string(i));
  constexpr std::uint64_t duration_ns = 2 * ns_per_s;
  r.world.run_for(duration_ns);
  // The simulation takes no time for a turn: what counts is what is around it.
  const std::uint64_t most = (turn_queue::saved_ns + duration_ns / turn_queue::parts_of_time) / turn_queue::around_ns;
  EXPECT_LE(r.log.size(), most + turn_queue::turns_at_once);
  EXPECT_GE(r.log.size(), most / 10 * 9);
  const std::size_t before = r.log.size();
  r.entries.clear();  // also while it waits for time
  r.world.run_for(ns_per_s);
  EXPECT_EQ(r.log.size(), before);
}

TEST(turn_queue, discovery_has_a_part_of_that_time_and_holds_up_no_login) {
  room r;
  for (int i = 0; i < 50; ++i) r.add(i, 1'000'000, "10.0.0." + std::to_string(i), purpose::other);
  constexpr std::uint64_t duration_ns = 2 * ns_per_s;
  r.world.run_for(duration_ns);
  const std::uint64_t most = (turn_queue::saved_ns + duration_ns / turn_queue::parts_of_time) /
                             turn_queue::parts_for_others / turn_queue::around_ns;
  EXPECT_LE(r.log.size(), most + turn_queue::turns_at_once);
  EXPECT_GE(r.log.size(), most / 10 * 9);
  // What discovery lacks, a login has, and at once.
  for (int i = 0; i < 10; ++i) {
    const std::uint64_t began_ns = r.world.now_ns();
    const std::size_t before = r.log.size();
    r.add(100 + i, 3, "10.0.1.1", purpose::beginning);
    const auto has_gone = [&] {
      return std::count(r.log.begin() + static_cast<long>(before), r.log.end(), 100 + i) == 3;
    };
    ASSERT_TRUE(r.world.run_until(has_gone, began_ns + 10 * ns_per_ms));
    EXPECT_LT(r.world.now_ns() - began_ns, ns_per_ms / 2);
    r.world.run_for(ns_per_ms / 3);
  }
  const std::size_t before = r.log.size();
  r.world.run_for(duration_ns);
  EXPECT_GE(r.log.size() - before, most / 2) << "discovery goes on";
}

TEST(turn_queue, what_was_saved_lets_many_through_at_once) {
  room r;
  for (int i = 0; i < 500; ++i) r.add(i, 5, "10.0.0.1");
  const std::uint64_t began_ns = r.world.now_ns();
  ASSERT_TRUE(r.world.run_until([&] { return r.log.size() == 2500; }, began_ns + ns_per_s));
  EXPECT_LT(r.world.now_ns() - began_ns, 500 * ns_per_ms);
}

TEST(turn_queue, a_login_that_proves_itself_keeps_its_memory) {
  room r;
  for (int i = 0; i < 4; ++i) r.add(i, 1, "10.0.0.1", i == 1 ? purpose::proving : purpose::other);
  r.entries[0].memory = 4096;
  r.entries[1].memory = 65536;
  r.entries[2].memory = 16384;
  r.queue->make_room(r.entries[3]);
  EXPECT_TRUE(r.entries[2].made_way) << "the one that holds the most of the others";
  r.entries[0].memory = 0;
  r.queue->make_room(r.entries[3]);
  EXPECT_FALSE(r.entries[0].made_way || r.entries[1].made_way) << "nobody has any to give up";
}

TEST(time_budget, earns_its_part_saves_some_and_pays_its_debts) {
  time_budget b(10, 1000);
  b.earn_until(50);
  EXPECT_EQ(b.left_ns(), 1000) << "it begins with all that may be saved";
  b.spend(1500);
  EXPECT_TRUE(b.is_spent());
  b.earn_until(50 + 5000);
  EXPECT_TRUE(b.is_spent()) << "500 owed, 500 earned";
  b.earn_until(50 + 5010);
  EXPECT_EQ(b.left_ns(), 1);
  for (std::uint64_t now = 5061; now < 5161; ++now) b.earn_until(now);
  EXPECT_EQ(b.left_ns(), 11) << "small steps lose nothing";
  b.earn_until(1'000'000);
  EXPECT_EQ(b.left_ns(), 1000);
}

}  // namespace
}  // namespace sluice::iscsi
