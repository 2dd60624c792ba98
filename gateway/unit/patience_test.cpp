#include "gateway/unit/test_fixture.hpp"

/// Answers that say "try again" are held back, see patience.cpp.
namespace sluice::unit {
namespace {

using scsi::sense_key;
namespace asc = scsi::asc;

constexpr std::uint64_t for_ever_ns = 3600 * ns_per_s;

class patience_test : public testing::Test {
 protected:
  explicit patience_test(std::uint64_t patience_ns = for_ever_ns)
      : s_({.patience_ns = patience_ns, .limits = {.deadline_ns = 8 * ns_per_s, .max_abandoned = 1}}) {
    s_.stalled.state = store::availability::stalled;
  }
  exchange& test(initiator& by) {
    exchange& e = by.send(test_unit_ready());
    s_.run();
    return e;
  }
  static bool becoming_ready(const exchange& e) { return e.sensed(sense_key::not_ready, asc::becoming_ready); }

  fixture s_;
  initiator& a_ = s_.add();
};

TEST_F(patience_test, a_unit_that_becomes_ready_says_so_to_who_waits) {
  exchange& waits = test(a_);
  EXPECT_EQ(waits.completions, 0);
  s_.stalled.state = store::availability::ready;
  while (waits.completions == 0) s_.run();
  EXPECT_TRUE(waits.good());
}

TEST_F(patience_test, an_answer_that_is_held_back_can_be_aborted) {
  exchange& waits = test(a_);
  managed& m = a_.manage(port::task_function::abort_task, waits.task.tag);
  s_.run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_TRUE(waits.silent);
}

TEST_F(patience_test, keeps_no_ordered_task_of_others_waiting) {
  exchange& waits = test(a_);
  initiator& b = s_.add();
  EXPECT_TRUE(s_.done(b.send(write10(0, 1), filled(512, 1), 0, port::task_attribute::ordered, 512)).good());
  EXPECT_EQ(waits.completions, 0);
}

TEST_F(patience_test, ends_with_the_nexus) {
  exchange& waits = test(a_);
  bool gone = false;
  s_.shards[0]->detach(a_.identity->id, port::loss_reason::connection_lost, [&] { gone = true; });
  s_.run();
  EXPECT_TRUE(gone);
  EXPECT_TRUE(waits.silent);
  s_.shards[0]->attach(a_.identity, {});
}

TEST_F(patience_test, a_unit_that_is_taken_away_does_not_wait_for_it) {
  exchange& waits = test(a_);
  bool gone = false;
  s_.shards[0]->detach(a_.identity->id, port::loss_reason::unit_removed, [&] { gone = true; });
  s_.run();
  EXPECT_TRUE(gone);
  EXPECT_TRUE(becoming_ready(waits));
  s_.shards[0]->attach(a_.identity, {});
}

class short_patience_test : public patience_test {
 protected:
  short_patience_test() : patience_test(ns_per_ms) {}
};

TEST_F(short_patience_test, ends) {
  exchange& waits = test(a_);
  while (waits.completions == 0) s_.run();
  EXPECT_TRUE(becoming_ready(waits));
}

TEST_F(patience_test, busy_is_held_back_too) {
  s_.stalled.state = store::availability::ready;
  s_.late = true;
  s_.stalled.on = true;
  exchange& late = a_.send(read10(0, 1), {}, 512);
  s_.run();
  s_.pass(9);
  EXPECT_TRUE(late.ended_with(scsi::status::busy)) << "its time has passed already";
  exchange& waits = a_.send(read10(8, 1), {}, 512);
  s_.run();
  EXPECT_EQ(waits.completions, 0);
  a_.manage(port::task_function::abort_task_set);
  s_.run();
  EXPECT_TRUE(waits.silent);
}

}  // namespace
}  // namespace sluice::unit
