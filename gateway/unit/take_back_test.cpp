#include "gateway/unit/test_fixture.hpp"

// A host that owes the data of its commands for ever, beside others that fence it, order their own commands, or take
// the unit away: whoever fences never waits for who is fenced.
namespace sluice::unit {
namespace {

using port::silence;
using port::task_attribute;
using port::task_function;
using scsi::status;

class take_back : public testing::TestWithParam<unsigned> {
 protected:
  take_back() {
    fixture_options how;
    how.shards = GetParam();
    s_.emplace(how);
    s_->late = true;
    debtor_ = &s_->add(0);
    other_ = &s_->add(how.shards - 1);
    debtor_->stalled = true;
  }
  exchange& owed_write(std::uint32_t lba, std::uint16_t blocks = 4, task_attribute attribute = task_attribute::simple) {
    exchange& w = debtor_->send(write10(lba, blocks), filled(blocks * 512u, 5), 0, attribute);
    s_->run();
    EXPECT_TRUE(debtor_->owes());
    EXPECT_EQ(w.completions, 0);
    return w;
  }
  exchange& write(initiator& by, std::uint32_t lba, std::uint8_t value,
                  task_attribute attribute = task_attribute::simple) {
    return by.send(write10(lba, 1), filled(512, value), 0, attribute, 512);
  }
  octets content(std::uint32_t lba) { return s_->done(other_->send(read10(lba, 1), {}, 512)).in; }
  void ask_for_task_aborted_status() {
    octets page = s_->done(other_->send({0x1a, 8, 0x0a, 0, 252, 0}, {}, 252)).in;
    page[0] = page[2] = 0;
    page[4] &= 0x3f;
    page[4 + 5] |= 0x40;  // TAS
    const auto size = static_cast<std::uint8_t>(page.size());
    EXPECT_TRUE(s_->done(other_->send({0x15, 0x10, 0, 0, size, 0}, page)).good());
    s_->done(debtor_->send(test_unit_ready()));  // MODE PARAMETERS CHANGED
  }

  std::optional<fixture> s_;
  initiator* debtor_ = nullptr;
  initiator* other_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(shards, take_back, ::testing::Values(1u, 2u));

TEST_P(take_back, preempt_and_abort_passes_ordered_tasks_that_wait_for_who_is_preempted) {
  debtor_->stalled = false;
  EXPECT_TRUE(s_->done(debtor_->send(pr_out(0), pr_list(0, 1))).good());
  EXPECT_TRUE(s_->done(other_->send(pr_out(0), pr_list(0, 2))).good());
  debtor_->stalled = true;
  exchange& w = owed_write(0);
  exchange& behind = write(*debtor_, 1, 5, task_attribute::ordered);
  s_->run();
  EXPECT_TRUE(s_->done(other_->send(pr_out(5, 5), pr_list(2, 1))).good());
  EXPECT_TRUE(w.silent && behind.silent);
}

TEST_P(take_back, preempt_and_abort_does_not_wait_for_who_is_preempted) {
  debtor_->stalled = false;
  EXPECT_TRUE(s_->done(debtor_->send(pr_out(0), pr_list(0, 1))).good());
  EXPECT_TRUE(s_->done(other_->send(pr_out(0), pr_list(0, 2))).good());
  debtor_->stalled = true;
  exchange& w = owed_write(0);
  EXPECT_TRUE(s_->done(other_->send(pr_out(5, 5), pr_list(2, 1))).good());
  EXPECT_TRUE(w.silent);
  EXPECT_EQ(w.silenced, silence::preempted);
  EXPECT_EQ(w.taken_back, 1);
  EXPECT_EQ(content(0), filled(512, 0));
}

TEST_P(take_back, resets_and_clear_task_set_do_not_wait) {
  for (const task_function function : {task_function::logical_unit_reset, task_function::target_warm_reset,
                                       task_function::target_cold_reset, task_function::clear_task_set}) {
    exchange& active = owed_write(0);
    exchange& fenced = debtor_->send(compare_and_write16(1, 1), filled(1024, 0));
    exchange& ordered = debtor_->send(write10(8, 1), filled(512, 5), 0, task_attribute::ordered);
    s_->run();
    managed& m = other_->manage(function);
    s_->run();
    EXPECT_EQ(m.answers, 1);
    for (exchange* e : {&active, &fenced, &ordered}) {
      EXPECT_TRUE(e->silent);
      EXPECT_EQ(e->silenced, function == task_function::clear_task_set ? silence::cleared : silence::reset);
      EXPECT_EQ(e->taken_back, 1);
    }
    s_->done(other_->send(test_unit_ready()));
    s_->done(debtor_->send(test_unit_ready()));
    EXPECT_EQ(content(0), filled(512, 0));
  }
}

TEST_P(take_back, who_is_fenced_hears_task_aborted_when_asked_for) {
  ask_for_task_aborted_status();
  exchange& w = owed_write(0);
  managed& m = other_->manage(task_function::clear_task_set);
  s_->run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_TRUE(w.ended_with(status::task_aborted));
}

TEST_P(take_back, its_own_aborts_are_answered) {
  exchange& one = owed_write(0);
  managed& abort = debtor_->manage(task_function::abort_task, one.task.tag);
  s_->run();
  EXPECT_EQ(abort.answers, 1);
  EXPECT_EQ(one.silenced, silence::aborted);
  exchange& two = owed_write(0);
  managed& again = debtor_->manage(task_function::abort_task, two.task.tag);
  managed& twice = debtor_->manage(task_function::abort_task_set);
  managed& reset = debtor_->manage(task_function::i_t_nexus_reset);
  s_->run();
  for (const managed* m : {&again, &twice, &reset}) EXPECT_EQ(m->answers, 1);
  EXPECT_EQ(two.silenced, silence::aborted);
  EXPECT_EQ(two.taken_back, 1) << "it is asked for once";
}

TEST_P(take_back, reads_that_the_initiator_does_not_take_are_taken_back_too) {
  exchange& r = debtor_->send(read10(0, 4096), {}, 4096 * 512);
  s_->run();
  EXPECT_TRUE(debtor_->owes());
  managed& m = other_->manage(task_function::logical_unit_reset);
  s_->run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_EQ(r.taken_back, 1);
  EXPECT_TRUE(r.silent);
}

TEST_P(take_back, a_nexus_ends_while_its_data_are_owed) {
  exchange& w = owed_write(0);
  bool gone = false;
  s_->shards[0]->detach(debtor_->identity->id, port::loss_reason::kicked, [&] { gone = true; });
  s_->run();
  EXPECT_TRUE(gone);
  EXPECT_EQ(w.silenced, silence::nexus_lost);
  s_->initiators.remove_if([&](const initiator& i) { return &i == debtor_; });
}

TEST_P(take_back, a_unit_is_taken_away_while_data_are_owed) {
  exchange& active = owed_write(0);
  exchange& fenced = debtor_->send(compare_and_write16(1, 1), filled(1024, 0));
  s_->run();
  bool gone = false;
  s_->shards[0]->detach(debtor_->identity->id, port::loss_reason::unit_removed, [&] { gone = true; });
  s_->run();
  EXPECT_TRUE(gone);
  for (exchange* e : {&active, &fenced}) EXPECT_TRUE(e->ended_with(status::busy)) << "it may be sent again";
  s_->initiators.remove_if([&](const initiator& i) { return &i == debtor_; });
}

TEST_P(take_back, a_unit_that_is_taken_away_asks_for_no_more_data) {
  debtor_->stalled = false;
  s_->stalled.on = true;
  exchange& w = debtor_->send(write10(0, 4096), filled(4096 * 512, 7));  // two windows
  s_->run();
  debtor_->stalled = true;
  bool gone = false;
  s_->shards[0]->detach(debtor_->identity->id, port::loss_reason::unit_removed, [&] { gone = true; });
  s_->run();
  EXPECT_FALSE(gone) << "the medium has a request";
  s_->end_stall();
  s_->run();
  EXPECT_TRUE(gone);
  EXPECT_TRUE(w.sensed(scsi::sense_key::aborted_command, scsi::asc::io_process_terminated)) << "half of it was done";
  s_->initiators.remove_if([&](const initiator& i) { return &i == debtor_; });
}

TEST_P(take_back, an_ordered_task_of_another_host_does_not_wait) {
  exchange& w = owed_write(0);
  exchange& fenced = debtor_->send(compare_and_write16(1, 1), filled(1024, 0));
  exchange& barrier = debtor_->send(write10(8, 1), filled(512, 5), 0, task_attribute::ordered);
  s_->run();
  EXPECT_TRUE(s_->done(write(*other_, 0, 1, task_attribute::ordered)).good());
  EXPECT_TRUE(s_->done(write(*other_, 8, 2)).good()) << "nor does what comes behind an ORDERED one that owes its data";
  EXPECT_EQ(w.completions, 0);
  debtor_->release();
  s_->run();
  EXPECT_TRUE(w.good() && barrier.good());
  EXPECT_EQ(fenced.completions, 1);
  EXPECT_EQ(content(0), filled(512, 5));
  EXPECT_EQ(content(8), filled(512, 5));
}

TEST_P(take_back, an_ordered_task_waits_for_what_its_own_host_sent_before) {
  exchange& before = owed_write(0);
  exchange& ordered = write(*debtor_, 0, 1, task_attribute::ordered);
  exchange& behind = write(*debtor_, 0, 2);
  s_->run();
  EXPECT_EQ(ordered.completions, 0);
  EXPECT_EQ(behind.completions, 0);
  debtor_->release();
  s_->run();
  EXPECT_TRUE(before.good() && ordered.good() && behind.good());
  EXPECT_LT(before.completed_at, ordered.completed_at);
  EXPECT_LT(ordered.completed_at, behind.completed_at);
  EXPECT_EQ(content(0), filled(512, 2));
}

TEST_P(take_back, data_that_come_while_another_host_runs_an_ordered_task_wait_for_its_end) {
  exchange& w = owed_write(0);
  s_->stalled.on = true;
  exchange& ordered = write(*other_, 0, 1, task_attribute::ordered);
  s_->run();
  ASSERT_EQ(s_->stalled.held.size(), 1u) << "the ORDERED task is on the medium";
  debtor_->release();
  s_->run();
  EXPECT_EQ(s_->stalled.held.size(), 1u);
  EXPECT_EQ(w.completions, 0);
  s_->end_stall();
  s_->run();
  EXPECT_TRUE(w.good() && ordered.good());
  EXPECT_EQ(content(0), filled(512, 5));
}

TEST_P(take_back, the_transport_loses_a_task_that_the_unit_holds) {
  s_->stalled.on = true;
  debtor_->stalled = false;
  exchange& on_medium = write(*debtor_, 0, 1);
  s_->run();
  debtor_->lose(on_medium);
  s_->run();
  EXPECT_EQ(on_medium.completions, 0) << "the medium has a request";
  s_->end_stall();
  s_->run();
  EXPECT_EQ(on_medium.silenced, silence::transport_abort);
  s_->shards[0]->on_task(on_medium.task, port::task_event::transport_abort);  // crossed the end
  EXPECT_EQ(on_medium.completions, 1);
}

TEST_P(take_back, a_transport_abort_may_cross_the_request_for_data) {
  exchange& w = debtor_->send(write10(0, 4), filled(4 * 512, 5));
  debtor_->lose(w);
  s_->run();
  EXPECT_EQ(w.completions, 1);
  EXPECT_EQ(w.silenced, silence::transport_abort);
}

TEST(transfer, what_the_fabric_loses_ends_silently) {
  fixture s;
  initiator& a = s.add();
  exchange& w = a.send(write10(0, 1), filled(512, 1));
  w.loses_data = true;
  s.run();
  EXPECT_EQ(w.silenced, silence::transfer_failed);
}

TEST(taken_away, a_function_of_a_nexus_whose_unit_is_unmapped_is_done_before_it_is_answered) {
  for (const bool nexus_ends : {false, true}) {
    fixture s;
    s.late = s.stalled.on = true;
    initiator& a = s.add();
    initiator& b = s.add();
    initiator& c = s.add();
    b.send(write10(0, 1), filled(512, 1));
    s.run();
    managed& first = c.manage(task_function::clear_task_set);  // waits for the task of b
    s.run();
    managed& behind = a.manage(task_function::clear_task_set);
    s.run();
    bool removed = false;
    s.shards[0]->detach(a.identity->id, port::loss_reason::unit_removed, [&] { removed = true; });
    s.run();
    EXPECT_FALSE(removed);
    EXPECT_EQ(behind.answers, 0) << "the tasks that it clears are there";
    if (nexus_ends) {
      s.shards[0]->detach(a.identity->id, port::loss_reason::connection_lost, [] {});
      s.run();
      EXPECT_TRUE(removed) << "nobody waits for its answer any more";
    }
    s.end_stall();
    s.run();
    EXPECT_EQ(first.answers, 1);
    EXPECT_EQ(behind.answers, 1);
    EXPECT_TRUE(removed);
    s.initiators.remove_if([&](const initiator& i) { return &i == &a; });
  }
}

}  // namespace
}  // namespace sluice::unit
