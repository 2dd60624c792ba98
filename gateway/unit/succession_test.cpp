#include "gateway/scsi/asc.hpp"
#include "gateway/unit/test_fixture.hpp"

// A unit that takes the place of another one, which has tasks still: their end is what fencing waits for.
namespace sluice::unit {
namespace {

using port::task_function;

constexpr std::uint8_t register_key = 0x00, reserve = 0x01, preempt_and_abort = 0x05;

class succession : public ::testing::TestWithParam<unsigned> {
 protected:
  succession() {
    fixture_options how;
    how.shards = 2;
    how.limits.awaits_predecessor = true;
    how.limits.deadline_ns = ns_per_s;
    s_ = std::make_unique<fixture>(how);
    asks_ = &s_->add(0);
    other_ = &s_->add(GetParam());
  }
  ~succession() override { s_->coordinator->predecessor_over(); }

  std::unique_ptr<fixture> s_;
  initiator *asks_ = nullptr, *other_ = nullptr;
};

TEST_P(succession, nobody_is_fenced_before_the_tasks_of_the_former_unit_are_gone) {
  exchange& registers = asks_->send(pr_out(register_key), pr_list(0, 0xa));
  exchange& preempts = asks_->send(pr_out(preempt_and_abort, 1), pr_list(0xa, 0xb));
  managed& clears = other_->manage(task_function::clear_task_set);
  managed& resets = asks_->manage(task_function::logical_unit_reset);
  s_->run();
  EXPECT_EQ(registers.completions + preempts.completions, 0);
  EXPECT_EQ(clears.answers + resets.answers, 0);
  s_->coordinator->predecessor_left();
  s_->run();
  EXPECT_EQ(registers.completions, 1);
  EXPECT_EQ(preempts.completions, 1);
  EXPECT_EQ(clears.answers, 1);
  EXPECT_EQ(resets.answers, 1);
}

TEST_P(succession, what_waits_for_the_former_unit_can_be_aborted) {
  exchange& registers = asks_->send(pr_out(register_key), pr_list(0, 0xa));
  exchange& writes = asks_->send(write10(0, 1), filled(512, 1));
  s_->run();
  managed& aborts = asks_->manage(task_function::abort_task_set);
  s_->run();
  EXPECT_EQ(aborts.answers, 1);
  EXPECT_TRUE(registers.silent);
  EXPECT_TRUE(writes.silent);
  s_->coordinator->predecessor_over();
  s_->run();
  EXPECT_TRUE(s_->coordinator->snapshot()->reservations.registrants.empty());
}

TEST_P(succession, a_nexus_that_ends_leaves_no_reset_behind_for_later) {
  managed& resets = asks_->manage(task_function::logical_unit_reset);
  s_->run();
  bool gone = false;
  s_->shards[0]->detach(asks_->identity->id, port::loss_reason::connection_lost, [&] { gone = true; });
  s_->run();
  EXPECT_TRUE(gone);
  EXPECT_EQ(resets.answers, 1);
  s_->shards[0]->attach(asks_->identity, 0);
}

TEST_P(succession, no_block_is_touched_while_the_former_unit_may_still_write) {
  exchange& writes = asks_->send(write10(0, 1), filled(512, 1));
  exchange& reads = other_->send(read10(0, 1), {}, 512, port::task_attribute::head_of_queue);
  exchange& compares = other_->send(compare_and_write16(9, 1), filled(1024, 0));
  exchange& ordered = asks_->send(write10(1, 1), filled(512, 1), 0, port::task_attribute::ordered);
  exchange& asks = other_->send({0x12, 0, 0, 0, 36, 0}, {}, 36);
  s_->run();
  EXPECT_TRUE(asks.good());
  s_->coordinator->predecessor_left();
  s_->run();
  EXPECT_EQ(writes.completions + reads.completions + compares.completions + ordered.completions, 0);
  s_->coordinator->predecessor_over();
  for (exchange* each : {&writes, &reads, &compares, &ordered}) EXPECT_TRUE(s_->done(*each).good());
  EXPECT_EQ(s_->coordinator->idle(), true);
}

TEST_P(succession, a_former_unit_whose_medium_does_not_answer_holds_up_no_longer_than_a_medium) {
  exchange& writes = asks_->send(write10(0, 1), filled(512, 1));
  s_->coordinator->predecessor_left();
  s_->pass(10);
  EXPECT_TRUE(writes.ended_with(scsi::status::busy));
  EXPECT_TRUE(s_->done(other_->send(pr_out(register_key), pr_list(0, 0xa))).good());
  EXPECT_TRUE(s_->done(other_->send(pr_out(reserve, 1), pr_list(0xa, 0))).good());
}

/// What a coordinator sends to the other one.
struct sent final : coordinator_link {
  void send(to_coordinator message) override { messages.push_back(std::move(message)); }
  std::vector<to_coordinator> messages;
};

TEST_P(succession, a_reset_by_a_nexus_that_is_still_at_the_former_unit_ends_what_waits_here) {
  sent to_predecessor;
  s_->coordinator->take_place_of(to_predecessor);
  exchange& writes = asks_->send(write10(0, 1), filled(512, 1));
  s_->run();
  s_->coordinator->on_message(passed_reset{7, other_->identity->id, task_function::logical_unit_reset});
  s_->run();
  EXPECT_TRUE(writes.silent);
  ASSERT_EQ(to_predecessor.messages.size(), 1U);
  EXPECT_EQ(std::get<passed_reset_done>(to_predecessor.messages.front()).id, 7U);
}

TEST_P(succession, the_former_unit_answers_a_reset_when_its_successor_has_done_it) {
  sent to_successor;
  s_->coordinator->predecessor_over();
  s_->coordinator->freeze([](const snapshot_ptr&) {});
  s_->coordinator->give_place_to(to_successor);
  managed& resets = asks_->manage(task_function::logical_unit_reset);
  managed& clears = asks_->manage(task_function::clear_task_set);
  s_->run();
  EXPECT_EQ(resets.answers + clears.answers, 0);
  EXPECT_FALSE(s_->coordinator->idle());
  ASSERT_EQ(to_successor.messages.size(), 2U);
  const auto first = std::get<passed_reset>(to_successor.messages.front());
  EXPECT_EQ(first.function, task_function::logical_unit_reset);
  s_->coordinator->on_message(passed_reset_done{first.id});
  s_->run();
  EXPECT_EQ(resets.answers, 1);
  EXPECT_EQ(clears.answers, 0);
  s_->coordinator->on_message(successor_gone{});
  s_->run();
  EXPECT_EQ(clears.answers, 1);
  EXPECT_TRUE(s_->coordinator->idle());
}

TEST_P(succession, the_medium_of_a_unit_that_waits_for_another_is_not_called_late) {
  exchange& ready = asks_->send(test_unit_ready());
  EXPECT_TRUE(s_->done(ready).good());
}

INSTANTIATE_TEST_SUITE_P(on, succession, testing::Values(0u, 1u));

}  // namespace
}  // namespace sluice::unit
