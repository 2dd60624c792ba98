#include <unistd.h>

#include "gateway/unit/test_fixture.hpp"

namespace sluice::unit {
namespace {

using port::task_attribute;
using port::task_function;
using port::task_response;
using scsi::sense_key;
using scsi::status;
namespace asc = scsi::asc;

// A period is one second: the deadline passes with the ninth tick. The patience of an abort passes by lose_patience().
fixture_options with_deadline(unsigned shards = 1) {
  fixture_options how;
  how.shards = shards;
  how.limits.deadline_ns = 8 * ns_per_s;
  how.limits.abort_patience_ns = 600 * ns_per_s;
  return how;
}
constexpr unsigned deadline = 9;

bool timed_out(const exchange& e) {
  return e.sensed(sense_key::aborted_command, asc::logical_unit_timeout);
}
bool becoming_ready(const exchange& e) {
  return e.sensed(sense_key::not_ready, asc::becoming_ready);
}

class deadlines : public testing::Test {
 protected:
  void start(unsigned shards) {
    s_.emplace(with_deadline(shards));
    s_->late = true;
    a_ = &s_->add(0);
    b_ = &s_->add(shards - 1);
  }
  exchange& write(initiator& by, std::uint32_t lba, std::uint8_t value,
                  task_attribute attribute = task_attribute::simple) {
    return by.send(write10(lba, 1), filled(512, value), 0, attribute, 512);
  }
  exchange& read(initiator& by, std::uint32_t lba) { return by.send(read10(lba, 1), {}, 512); }
  void lose_patience() {
    for (const auto& each : s_->shards) each->let_go();
    s_->run();
  }
  octets content(std::uint32_t lba) { return s_->done(read(*b_, lba)).in; }

  std::optional<fixture> s_;
  initiator* a_ = nullptr;
  initiator* b_ = nullptr;
};

TEST_F(deadlines, a_command_waits_for_the_medium_as_long_as_it_may) {
  start(1);
  s_->stalled.on = true;
  exchange& w = write(*a_, 0, 1);
  s_->run();
  s_->pass(deadline - 1);
  EXPECT_EQ(w.completions, 0);
  s_->end_stall();
  s_->run();
  EXPECT_TRUE(w.good());
  EXPECT_TRUE(s_->done(a_->send(test_unit_ready())).good());
}

TEST_F(deadlines, a_command_that_waited_too_long_is_answered_and_its_blocks_stay_locked_until_it_landed) {
  for (const unsigned shards : {1u, 2u}) {
    start(shards);
    s_->stalled.on = true;
    exchange& late = write(*a_, 0, 1);
    exchange& looks = read(*a_, 5);
    s_->run();
    s_->pass(deadline);
    EXPECT_TRUE(timed_out(late));
    EXPECT_TRUE(looks.ended_with(status::busy));
    EXPECT_FALSE(s_->shards[0]->idle());
    EXPECT_TRUE(becoming_ready(s_->done(a_->send(test_unit_ready()))));

    // The medium answers others again, but not those: a write to the same block waits, one to another block does not.
    auto held = std::exchange(s_->stalled.held, {});
    s_->stalled.on = false;
    exchange& newer = write(*b_, 0, 2);
    exchange& beside = write(*b_, 1, 3);
    s_->run();
    EXPECT_EQ(newer.completions, 0);
    EXPECT_TRUE(beside.good());

    s_->stalled.held = std::move(held);
    s_->end_stall();
    s_->run();
    EXPECT_TRUE(newer.good());
    EXPECT_EQ(late.completions, 1);
    EXPECT_TRUE(s_->shards[0]->idle());
    EXPECT_EQ(content(0), filled(512, 2));
    EXPECT_TRUE(s_->done(a_->send(test_unit_ready())).good());
  }
}

TEST_F(deadlines, what_waits_for_locked_blocks_gets_busy_after_the_deadline) {
  start(2);
  s_->stalled.on = true;
  exchange& late = write(*a_, 0, 1);
  s_->run();
  s_->pass(deadline);
  EXPECT_TRUE(timed_out(late));
  exchange& waits = write(*b_, 0, 2);
  octets both = filled(1024, 0);
  exchange& compares = b_->send(compare_and_write16(0, 1), both, 0, task_attribute::simple, 1024);
  s_->run();
  s_->pass(deadline);
  EXPECT_TRUE(waits.ended_with(status::busy));
  EXPECT_TRUE(compares.ended_with(status::busy));
  s_->end_stall();
  s_->run();
  EXPECT_EQ(content(0), filled(512, 1));
}

TEST_F(deadlines, what_has_written_and_is_late_with_the_rest_is_not_called_busy) {
  start(1);
  s_->stalled.on = true;
  exchange& verifies = a_->send(cdb10(0x2e, 0, 1), filled(512, 1), 0, task_attribute::simple, 512);
  s_->run();
  ASSERT_EQ(s_->stalled.held.size(), 1U);
  std::exchange(s_->stalled.held, {}).front()();
  s_->run();
  ASSERT_EQ(s_->stalled.held.size(), 1U) << "it reads back what it wrote";
  s_->pass(deadline);
  EXPECT_TRUE(timed_out(verifies));
  s_->end_stall();
  s_->run();
  EXPECT_EQ(content(0), filled(512, 1));
}

TEST_F(deadlines, aborts_and_resets_are_always_answered) {
  for (const unsigned shards : {1u, 2u}) {
    start(shards);
    s_->stalled.on = true;
    exchange& first = write(*a_, 0, 1);
    exchange& second = write(*a_, 8, 1);
    exchange& other = write(*b_, 16, 1);
    s_->run();
    managed& abort = a_->manage(task_function::abort_task, first.task.tag);
    s_->run();
    EXPECT_EQ(abort.answers, 0);
    lose_patience();
    EXPECT_EQ(abort.answers, 1);
    EXPECT_EQ(abort.request.response, task_response::function_complete);
    EXPECT_TRUE(first.silent);
    EXPECT_EQ(second.completions, 0);
    managed& reset = a_->manage(task_function::logical_unit_reset);
    s_->run();
    lose_patience();
    EXPECT_EQ(reset.answers, 1);
    EXPECT_TRUE(second.silent && other.silent);

    EXPECT_TRUE(s_->done(b_->send(test_unit_ready())).sensed(sense_key::unit_attention, asc::bus_device_reset));
    EXPECT_TRUE(becoming_ready(s_->done(b_->send(test_unit_ready()))));
    exchange& again = write(*b_, 0, 2);
    s_->run();
    EXPECT_EQ(again.completions, 0);
    s_->end_stall();
    s_->run();
    EXPECT_TRUE(again.good());
    EXPECT_EQ(content(0), filled(512, 2));
  }
}

TEST_F(deadlines, a_nexus_ends_while_its_writes_are_still_out) {
  start(2);
  s_->stalled.on = true;
  exchange& lost = write(*a_, 0, 1);
  s_->run();
  bool gone = false;
  s_->shards[0]->detach(a_->identity->id, port::loss_reason::connection_lost, [&] { gone = true; });
  s_->run();
  EXPECT_FALSE(gone);
  lose_patience();
  EXPECT_TRUE(gone);
  EXPECT_TRUE(lost.silent);
  exchange& newer = write(*b_, 0, 2);
  s_->run();
  EXPECT_EQ(newer.completions, 0);
  s_->end_stall();
  s_->run();
  EXPECT_TRUE(newer.good());
  EXPECT_EQ(content(0), filled(512, 2));
  s_->initiators.remove_if([&](const initiator& i) { return &i == a_; });
}

/// A login of the same host waits for the end of the nexus, and must not wait for a medium.
TEST_F(deadlines, a_nexus_that_ends_waits_for_its_own_commands_only_and_not_for_long) {
  for (const unsigned shards : {1u, 2u}) {
    start(shards);
    s_->stalled.on = true;
    exchange& lost = write(*a_, 0, 1);
    exchange& waits = a_->send(compare_and_write16(0, 1), filled(1024, 0), 0, task_attribute::simple, 1024);
    exchange& others = write(*b_, 8, 1);
    s_->run();
    bool gone = false;
    s_->shards[0]->detach(a_->identity->id, port::loss_reason::reinstated, [&] { gone = true; });
    s_->run();
    lose_patience();
    EXPECT_TRUE(gone);
    EXPECT_TRUE(lost.silent && waits.silent);
    EXPECT_EQ(others.completions, 0) << "who stays waits on";
    exchange& newer = write(*b_, 0, 2);
    s_->run();
    EXPECT_EQ(newer.completions, 0);
    s_->end_stall();
    s_->run();
    EXPECT_TRUE(newer.good() && others.good());
    EXPECT_EQ(content(0), filled(512, 2));
    s_->initiators.remove_if([&](const initiator& i) { return &i == a_; });
  }
}

TEST_F(deadlines, aborts_resets_and_the_end_of_a_nexus_take_less_than_a_second) {
  for (const int what : {0, 1, 2}) {
    fixture_options how;
    how.shards = 2;
    how.limits.deadline_ns = 30 * ns_per_s;
    s_.emplace(how);
    s_->late = true;
    a_ = &s_->add(0);
    b_ = &s_->add(1);
    s_->stalled.on = true;
    exchange& late = write(*a_, 0, 1);
    s_->run();
    managed* asked = nullptr;
    bool gone = false;
    if (what == 0) asked = &a_->manage(task_function::abort_task, late.task.tag);
    if (what == 1) asked = &b_->manage(task_function::logical_unit_reset);
    if (what == 2) s_->shards[0]->detach(a_->identity->id, port::loss_reason::connection_lost, [&] { gone = true; });
    const auto over = [&] { return asked ? asked->answers == 1 : gone; };
    for (int i = 0; i < 700 && !over(); ++i) {
      s_->run();
      ::usleep(1000);
    }
    EXPECT_TRUE(over()) << what;
    EXPECT_TRUE(late.silent);
    exchange& newer = write(*b_, 0, 2);
    s_->run();
    s_->pass(1);
    EXPECT_EQ(newer.completions, 0) << "the blocks stay locked";
    s_->end_stall();
    s_->run();
    if (what == 1) s_->done(b_->send(test_unit_ready()));  // the reset is told
    exchange& last = write(*b_, 0, 3);
    s_->run();
    EXPECT_TRUE(last.good());
    EXPECT_EQ(content(0), filled(512, 3)) << "what was given up comes before what is newer";
    if (what == 2) s_->initiators.remove_if([&](const initiator& i) { return &i == a_; });
  }
}

/// A unit is taken away: its sessions wait for their answers, but not beyond their own end.
TEST_F(deadlines, a_nexus_that_ends_after_its_unit_was_taken_away_waits_for_no_medium) {
  start(2);
  s_->stalled.on = true;
  exchange& lost = write(*a_, 0, 1);
  s_->run();
  bool removed = false, gone = false;
  s_->shards[0]->detach(a_->identity->id, port::loss_reason::unit_removed, [&] { removed = true; });
  s_->run();
  lose_patience();
  EXPECT_FALSE(removed);
  EXPECT_EQ(lost.completions, 0);
  s_->shards[0]->detach(a_->identity->id, port::loss_reason::connection_lost, [&] { gone = true; });
  s_->run();
  lose_patience();
  EXPECT_TRUE(gone && removed);
  EXPECT_TRUE(lost.silent);
  bool unknown = false;
  s_->shards[0]->detach(a_->identity->id, port::loss_reason::connection_lost, [&] { unknown = true; });
  EXPECT_TRUE(unknown) << "it had let go already";
  exchange& newer = write(*b_, 0, 2);
  s_->run();
  EXPECT_EQ(newer.completions, 0);
  s_->end_stall();
  s_->run();
  EXPECT_TRUE(newer.good());
  EXPECT_EQ(content(0), filled(512, 2));
  s_->initiators.remove_if([&](const initiator& i) { return &i == a_; });
}

TEST_F(deadlines, an_ordered_task_that_was_given_up_no_longer_keeps_everybody_waiting) {
  start(2);
  s_->stalled.on = true;
  exchange& ordered = write(*a_, 0, 1, task_attribute::ordered);
  s_->run();
  s_->pass(deadline);
  EXPECT_TRUE(timed_out(ordered));
  s_->stalled.on = false;
  EXPECT_TRUE(s_->done(write(*b_, 1, 2)).good());
  EXPECT_TRUE(s_->done(write(*b_, 2, 2, task_attribute::ordered)).good());
  exchange& same = write(*b_, 0, 2);
  s_->run();
  EXPECT_EQ(same.completions, 0);
  s_->end_stall();
  s_->run();
  EXPECT_TRUE(same.good());
  EXPECT_EQ(content(0), filled(512, 2));
}

TEST_F(deadlines, compare_and_write_that_was_given_up_keeps_its_blocks) {
  start(2);
  s_->stalled.on = true;
  octets both = filled(1024, 0);
  std::fill(both.begin() + 512, both.end(), std::uint8_t{1});
  exchange& late = a_->send(compare_and_write16(0, 1), both, 0, task_attribute::simple, 1024);
  s_->run();
  s_->pass(deadline);
  EXPECT_TRUE(timed_out(late));
  exchange& newer = write(*b_, 0, 2);
  s_->run();
  EXPECT_EQ(newer.completions, 0);
  s_->end_stall();
  s_->run();
  EXPECT_TRUE(newer.good());
  EXPECT_EQ(content(0), filled(512, 2));
}

TEST_F(deadlines, a_task_whose_data_are_on_their_way_is_the_fabrics_until_they_came) {
  start(1);
  s_->stalled.on = true;
  exchange& late = write(*a_, 0, 1);
  s_->run();
  s_->pass(deadline);
  EXPECT_TRUE(timed_out(late));
  b_->stalled = true;
  exchange& compares = b_->send(compare_and_write16(0, 1), filled(1024, 0));
  s_->run();
  s_->pass(2 * deadline);
  EXPECT_EQ(compares.completions, 0);
  b_->release();
  s_->run();
  EXPECT_EQ(compares.completions, 0);
  s_->pass(deadline);
  EXPECT_TRUE(compares.ended_with(status::busy));
}

TEST_F(deadlines, an_answer_just_in_time_leaves_no_lock_behind) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    fixture_options how = with_deadline(2);
    how.seed = seed;
    how.delays = true;
    s_.emplace(how);
    s_->late = true;
    a_ = &s_->add(0);
    b_ = &s_->add(1);
    s_->stalled.on = true;
    exchange& w = a_->send(write10(0, 4), filled(2048, 1), 0, task_attribute::simple, 2048);
    s_->run();
    for (unsigned i = 0; i < deadline; ++i) s_->shards[0]->tick();  // the lock is asked for
    s_->end_stall();
    s_->run();
    EXPECT_TRUE(w.good() || timed_out(w));
    EXPECT_TRUE(s_->done(write(*b_, 0, 2)).good());
    EXPECT_EQ(content(0), filled(512, 2));
    EXPECT_TRUE(s_->done(a_->send(test_unit_ready())).good());
  }
}

TEST_F(deadlines, requests_that_are_given_up_do_not_pile_up_for_ever) {
  fixture_options how = with_deadline();
  how.limits.max_abandoned = 4;
  s_.emplace(how);
  s_->late = true;
  a_ = b_ = &s_->add(0);
  s_->stalled.on = true;
  std::vector<exchange*> late;
  for (std::uint32_t i = 0; i < 4; ++i) late.push_back(&write(*a_, i, 1));
  s_->run();
  s_->pass(deadline);
  for (const exchange* e : late) EXPECT_TRUE(timed_out(*e));
  EXPECT_TRUE(s_->done(write(*a_, 9, 1)).ended_with(status::busy));
  EXPECT_TRUE(becoming_ready(s_->done(a_->send(test_unit_ready()))));
  EXPECT_TRUE(s_->done(a_->send({0x12, 0, 0, 0, 36, 0}, {}, 36)).good());
  s_->end_stall();
  s_->run();
  EXPECT_TRUE(s_->done(write(*a_, 9, 1)).good());
}

TEST_F(deadlines, test_unit_ready_tells_what_the_medium_tells) {
  start(1);
  s_->stalled.state = store::availability::stalled;
  EXPECT_TRUE(becoming_ready(s_->done(a_->send(test_unit_ready()))));
  s_->stalled.state = store::availability::gone;
  EXPECT_TRUE(s_->done(a_->send(test_unit_ready())).sensed(sense_key::not_ready, asc::medium_not_present));
  s_->stalled.state = store::availability::ready;
  EXPECT_TRUE(s_->done(a_->send(test_unit_ready())).good());
}

TEST_F(deadlines, the_clock_runs_by_itself) {
  fixture_options how;
  how.limits.deadline_ns = 20 * ns_per_ms;
  s_.emplace(how);
  s_->late = true;
  a_ = b_ = &s_->add(0);
  s_->stalled.on = true;
  exchange& late = write(*a_, 0, 1);
  for (int i = 0; i < 1000 && late.completions == 0; ++i) {
    s_->run();
    ::usleep(1000);
  }
  EXPECT_TRUE(timed_out(late));
}

}  // namespace
}  // namespace sluice::unit
