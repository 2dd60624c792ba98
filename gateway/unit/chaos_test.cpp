#include "gateway/unit/test_fixture.hpp"

// Many initiators on several cores do everything at once, while every message and every completion of the medium takes
// any time. Whatever the order: each task completes exactly once, each management function is answered exactly once and
// nothing is left behind; and the medium holds only what the initiators may expect.
namespace sluice::unit {
namespace {

using port::task_attribute;
using port::task_function;

constexpr std::uint32_t hot_blocks = 8;  // everybody works on these

class chaos {
 public:
  explicit chaos(std::uint64_t seed) : s_(options(seed)), chance_(seed * 977 + 5) {
    s_.late = true;
    for (unsigned i = 0; i < 4; ++i) {
      initiator& made = s_.add(static_cast<unsigned>(i % s_.options.shards), {}, chance_() % 2 == 0);
      made.identity->caps.max_get_bytes = 1024;
      made.identity->caps.may_borrow = chance_() % 2 == 0;
      hosts_.push_back(&made);
    }
  }

  void run() {
    for (int i = 0; i < 150; ++i) {
      const auto roll = chance_() % 20;
      if (roll == 0)
        manage();
      else if (roll == 1)
        misbehave();
      else
        send();
      for (auto steps = chance_() % 12; steps > 0 && !s_.later.empty(); --steps) s_.later.step();
    }
    s_.run();
    for (initiator* host : hosts_) host->release();
    s_.run();
    for (initiator* host : hosts_) {
      for (const exchange& e : host->exchanges) ASSERT_EQ(e.completions, 1);
      for (const managed& m : host->managements) ASSERT_EQ(m.answers, 1);
    }
    for (const auto& shard : s_.shards) {
      ASSERT_TRUE(shard->idle());
      ASSERT_EQ(shard->tasks(), 0u);
    }
    ASSERT_TRUE(s_.coordinator->idle());
    check_blocks();
  }

 private:
  static fixture_options options(std::uint64_t seed) {
    fixture_options how;
    how.seed = seed;
    how.delays = true;
    how.shards = 1 + static_cast<unsigned>(seed % 3);
    how.limits.max_tasks_per_nexus = 24;
    return how;
  }

  task_attribute attribute() {
    switch (chance_() % 12) {
      case 0:
        return task_attribute::ordered;
      case 1:
        return task_attribute::head_of_queue;
      default:
        return task_attribute::simple;
    }
  }

  void send() {
    initiator& host = *hosts_[chance_() % hosts_.size()];
    const auto lba = static_cast<std::uint32_t>(chance_() % hot_blocks);
    const auto value = static_cast<std::uint8_t>(chance_());
    // What is written to a block is one value throughout, so that a torn block shows.
    switch (chance_() % 12) {
      case 0:
      case 1:
      case 2:
        host.send(write10(lba, 1), filled(512, value), 0, attribute(), chance_() % 513);
        break;
      case 3:
      case 4:
      case 5:
        host.send(read10(lba, 1), {}, 512, attribute());
        break;
      case 6: {
        octets both = filled(1024, value);
        std::fill(both.begin(), both.begin() + 512, static_cast<std::uint8_t>(chance_()));
        host.send(compare_and_write16(lba, 1), both, 0, attribute());
        break;
      }
      case 7:
        host.send(cdb16(0x8b, lba, 1), filled(512, value), 0, attribute());
        break;
      case 8:
        host.send(cdb10(0x2e, lba, 1, 2), filled(512, value), 0, attribute());
        break;
      case 9:
        host.send(cdb10(0x35, 0, 0), {}, 0, attribute());
        break;
      case 10: {
        const auto action = static_cast<std::uint8_t>(chance_() % 7);
        host.send(pr_out(action, 5), pr_list(chance_() % 3, chance_() % 3));
        break;
      }
      default:
        host.send(octets{static_cast<std::uint8_t>(0x16 + chance_() % 2), 0, 0, 0, 0, 0}, {}, 0, attribute());
    }
    host.exchanges.back().loses_data = chance_() % 50 == 0;
  }

  /// A host stops bringing and taking data, or goes on; its fabric loses a task.
  void misbehave() {
    initiator& host = *hosts_[chance_() % hosts_.size()];
    if (chance_() % 2 != 0 && !host.exchanges.empty()) host.lose(host.exchanges.back());
    if (chance_() % 2 != 0) return host.release();
    host.stalled = true;
  }

  void manage() {
    initiator& host = *hosts_[chance_() % hosts_.size()];
    constexpr task_function all[] = {task_function::abort_task,       task_function::abort_task_set,
                                     task_function::clear_task_set,   task_function::logical_unit_reset,
                                     task_function::i_t_nexus_reset,  task_function::query_task,
                                     task_function::target_cold_reset};
    const std::uint64_t tag = host.exchanges.empty() ? 0 : 1 + chance_() % host.exchanges.size();
    host.manage(all[chance_() % std::size(all)], tag);
  }

  void check_blocks() {
    s_.late = false;
    std::vector<std::uint8_t> block(512);
    auto channel = s_.medium->attach(*s_.loop);
    for (std::uint32_t lba = 0; lba < hot_blocks; ++lba) {
      struct one_read final : store::request {
        void done(store::status) noexcept override {}
      } r;
      const iovec part{block.data(), block.size()};
      r.what = store::verb::read;
      r.offset_bytes = lba * 512;
      r.length_bytes = 512;
      r.parts = &part;
      r.part_count = 1;
      store::status outcome;
      ASSERT_TRUE(channel->try_now(r, outcome));
      ASSERT_EQ(block, filled(512, block[0])) << "a torn block";
    }
  }

  fixture s_;
  std::mt19937_64 chance_;
  std::vector<initiator*> hosts_;
};

TEST(unit_chaos, everything_at_once) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    chaos(seed).run();
    if (HasFatalFailure()) return;
  }
}

/// Nexuses that leave in the middle of it.
TEST(unit_chaos, nexuses_come_and_go) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    fixture_options how;
    how.seed = seed;
    how.delays = true;
    how.shards = 2;
    fixture s(how);
    s.late = true;
    std::mt19937_64 chance(seed);
    for (int round = 0; round < 6; ++round) {
      initiator& a = s.add(static_cast<unsigned>(chance() % 2));
      initiator& b = s.add(static_cast<unsigned>(chance() % 2));
      for (int i = 0; i < 6; ++i) {
        initiator& host = i % 2 ? a : b;
        host.send(write10(0, 2), filled(1024, 1), 0, i == 3 ? task_attribute::ordered : task_attribute::simple);
        host.send(compare_and_write16(0, 1), filled(1024, 1));
      }
      a.send({0x16, 0, 0, 0, 0, 0});
      for (auto steps = chance() % 60; steps > 0 && !s.later.empty(); --steps) s.later.step();
      bool gone = false;
      s.shards[a.shard]->detach(a.identity->id, port::loss_reason::connection_lost, [&] { gone = true; });
      s.run();
      ASSERT_TRUE(gone);
      for (initiator* i : {&a, &b})
        for (const exchange& e : i->exchanges) ASSERT_EQ(e.completions, 1);
      ASSERT_EQ(s.coordinator->snapshot()->reserve_holder, 0u);
      s.initiators.remove_if([&](const initiator& i) { return &i == &a; });
    }
  }
}

}  // namespace
}  // namespace sluice::unit
