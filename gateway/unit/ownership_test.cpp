#include "gateway/agreement/codec.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/state/lease.hpp"
#include "gateway/unit/test_fixture.hpp"

// A unit that gateways share: one of them owns it, and each answers as long as its lease holds.
namespace sluice::unit {
namespace {

using scsi::asymmetric_access;
using scsi::sense_key;
using scsi::status;
namespace asc = scsi::asc;

fixture_options shared_unit(unsigned shards = 2) {
  fixture_options how;
  how.shards = shards;
  how.shares = true;
  return how;
}

/// Gateway 2 becomes a member: a seat that obeys everything.
std::unique_ptr<state::seat> join_another(fixture& s) {
  auto seat = *s.authority->open("unit/disk", *s.loop);
  const agreement::joining wanted{{2, 20, {}, {{.number = 2, .ports = {3}}}, false, true}, {}, {}, {}, false};
  bool joined = false;
  agreement::join_unit(*seat, wanted, [&](const result<agreement::agreed>& now) { joined = now.has_value(); });
  s.run();
  EXPECT_TRUE(joined);
  return seat;
}

/// The other gateway changes what is agreed.
void commit(fixture& s, state::seat& by, const agreement::change& wanted) {
  const agreement::agreed& now = *s.coordinator->snapshot();
  const agreement::decision d = agreement::decide(now, wanted, {});
  ASSERT_TRUE(d.next);
  by.propose({now.epoch, agreement::encode(*d.next), d.lasts},
             [](const state::verdict& v) { EXPECT_EQ(v.what, state::verdict::kind::committed); });
  s.run();
}

TEST(ownership, who_is_alone_claims_the_unit_and_serves_it) {
  fixture s(shared_unit());
  s.run();
  ASSERT_TRUE(s.coordinator->snapshot()->owned);
  EXPECT_EQ(s.coordinator->snapshot()->owned->owner, 1);
  initiator& a = s.add();
  EXPECT_TRUE(s.done(a.send(write10(0, 1), filled(512, 1))).good());
  EXPECT_TRUE(s.done(s.add(1).send(write10(1, 1), filled(512, 1))).good());
}

TEST(ownership, a_gateway_whose_lease_ran_out_answers_busy_until_it_holds_again) {
  state::lease term;
  fixture_options how = shared_unit();
  how.limits.term = &term;
  fixture s(how);
  s.run();
  initiator& a = s.add();
  term.hold_until(state::lease::now_ns() + 3600 * ns_per_s);
  EXPECT_TRUE(s.done(a.send(write10(0, 1), filled(512, 1))).good());
  term.end();
  EXPECT_TRUE(s.done(a.send(write10(0, 1), filled(512, 2))).ended_with(status::busy));
  EXPECT_TRUE(s.done(a.send(read10(0, 1), {}, 512)).ended_with(status::busy));
  EXPECT_TRUE(s.done(a.send({0x12, 0, 0, 0, 36, 0}, {}, 36)).good()) << "INQUIRY says what is always so";
  term.hold_until(state::lease::now_ns() + 3600 * ns_per_s);
  EXPECT_EQ(s.done(a.send(read10(0, 1), {}, 512)).in, filled(512, 1));
}

/// A medium that takes its time to become this gateway's, and to be given up.
struct slow_tenure final : tenure {
  std::deque<std::function<void(const result<void>&)>> beginning;
  std::deque<std::function<void()>> ending;
  void begin(std::function<void(const result<void>&)> done) override { beginning.push_back(std::move(done)); }
  void end(std::function<void()> done) override { ending.push_back(std::move(done)); }
  void begun(const result<void>& how = {}) {
    ASSERT_FALSE(beginning.empty());
    const auto done = std::move(beginning.front());
    beginning.pop_front();
    done(how);
  }
  void ended() {
    ASSERT_FALSE(ending.empty());
    const auto done = std::move(ending.front());
    ending.pop_front();
    done();
  }
};

TEST(ownership, an_owner_serves_when_its_medium_is_ready_for_it) {
  slow_tenure medium;
  fixture_options how = shared_unit();
  how.tenure = &medium;
  fixture s(how);
  s.run();
  ASSERT_EQ(s.coordinator->snapshot()->owned->owner, 1);
  initiator& a = s.add();
  EXPECT_TRUE(
      s.done(a.send(write10(0, 1), filled(512, 1))).sensed(sense_key::not_ready, asc::asymmetric_access_transition));
  EXPECT_TRUE(s.done(a.send({0x12, 0, 0, 0, 36, 0}, {}, 36)).good());
  medium.begun(fail(errc::io, "the cluster does not answer"));
  s.run();
  EXPECT_TRUE(s.done(a.send(read10(0, 1), {}, 512)).sensed(sense_key::not_ready, asc::asymmetric_access_transition));
  while (medium.beginning.empty()) s.pass(1);
  medium.begun();
  s.run();
  EXPECT_TRUE(s.done(a.send(write10(0, 1), filled(512, 1))).good());
  EXPECT_EQ(s.done(s.add(1).send(read10(0, 1), {}, 512)).in, filled(512, 1));
}

TEST(ownership, nobody_else_owns_the_unit_before_its_medium_is_given_up) {
  slow_tenure medium;
  fixture_options how = shared_unit();
  how.tenure = &medium;
  fixture s(how);
  s.run();
  medium.begun();
  s.run();
  const auto other = join_another(s);
  s.coordinator->move(2, [](const result<void>&) {});
  s.run();
  ASSERT_EQ(s.coordinator->snapshot()->owned->heir, 2);
  ASSERT_EQ(medium.ending.size(), 1U);
  EXPECT_FALSE(s.coordinator->idle()) << "it does not obey yet";
  medium.ended();
  s.run();
  EXPECT_TRUE(s.coordinator->idle());
}

TEST(ownership, a_medium_is_made_ready_for_each_ownership_anew) {
  slow_tenure medium;
  fixture_options how = shared_unit();
  how.tenure = &medium;
  fixture s(how);
  s.run();
  const auto other = join_another(s);
  // It goes and comes back before the first has been answered.
  s.coordinator->move(2, [](const result<void>&) {});
  s.run();
  medium.ended();
  s.run();
  const agreement::agreed now = *s.coordinator->snapshot();
  commit(s, *other, agreement::claim{2, 20, now.owned->epoch});
  ASSERT_EQ(s.coordinator->snapshot()->owned->owner, 2);
  commit(s, *other, agreement::move{1});
  other->in_force(s.coordinator->snapshot()->epoch);
  s.run();
  ASSERT_EQ(s.coordinator->snapshot()->owned->owner, 1);
  initiator& a = s.add();
  s.done(a.send(read10(0, 1), {}, 512));
  medium.begun();  // the first, which is nobody's by now
  s.run();
  EXPECT_TRUE(s.done(a.send(read10(0, 1), {}, 512)).sensed(sense_key::not_ready, asc::asymmetric_access_transition));
  medium.begun();
  s.run();
  EXPECT_TRUE(s.done(a.send(read10(0, 1), {}, 512)).good());
}

TEST(ownership, what_the_medium_has_ends_before_the_unit_moves_and_the_rest_may_be_sent_again) {
  fixture s(shared_unit());
  s.run();
  const auto other = join_another(s);
  initiator& a = s.add();
  s.late = s.stalled.on = true;
  exchange& written = a.send(write10(0, 1), filled(512, 1));
  s.run();
  ASSERT_EQ(s.stalled.held.size(), 1U);
  a.stalled = true;
  exchange& owes = a.send(write10(8, 64), filled(64 * 512, 2));
  s.run();
  ASSERT_TRUE(a.owes());
  bool moved = false;
  s.coordinator->move(2, [&](const result<void>&) { moved = true; });
  s.run();
  EXPECT_EQ(written.completions, 0) << "the medium has it";
  s.end_stall();
  a.release();
  s.run();
  EXPECT_TRUE(written.good());
  EXPECT_TRUE(owes.ended_with(status::busy));
  EXPECT_FALSE(moved) << "the heir has not claimed it";
  EXPECT_EQ(s.coordinator->snapshot()->owned->heir, 2);
  exchange& late = s.done(a.send(write10(0, 1), filled(512, 3)));
  EXPECT_TRUE(late.sensed(sense_key::unit_attention, asc::asymmetric_access_changed));
  exchange& between = s.done(a.send(write10(0, 1), filled(512, 3)));
  EXPECT_TRUE(between.sensed(sense_key::not_ready, asc::asymmetric_access_transition));
}

TEST(ownership, what_was_given_up_is_done_before_another_gateway_owns_the_unit) {
  fixture_options how = shared_unit();
  how.limits.deadline_ns = 2 * ns_per_s;
  fixture s(how);
  s.run();
  const auto other = join_another(s);
  initiator& a = s.add();
  s.late = s.stalled.on = true;
  exchange& written = a.send(write10(0, 1), filled(512, 1));
  s.run();
  for (int i = 0; i < 100 && written.completions == 0; ++i) s.pass(1);
  ASSERT_TRUE(written.sensed(sense_key::aborted_command, asc::logical_unit_timeout))
      << "nobody knows whether it was done";
  s.coordinator->move(2, [](const result<void>&) {});
  s.run();
  ASSERT_EQ(s.coordinator->snapshot()->owned->heir, 2);
  EXPECT_FALSE(s.coordinator->idle()) << "the write may still be done, after what the next owner writes";
  s.end_stall();
  s.run();
  EXPECT_TRUE(s.coordinator->idle());
}

TEST(ownership, a_nexus_that_reserved_can_go_while_its_gateway_is_out_of_touch) {
  fixture s(shared_unit());
  s.run();
  const auto other = join_another(s);
  initiator& holder = s.add();
  s.late = s.stalled.on = true;
  s.add(1).send(write10(0, 1), filled(512, 1));
  s.run();
  ASSERT_TRUE(s.done(holder.send({0x16, 0, 0, 0, 0, 0})).good());
  commit(s, *other, agreement::leave{1, s.coordinator->snapshot()->members.at(1)});
  ASSERT_EQ(s.coordinator->snapshot()->serves, unit_snapshot::service::suspended) << "until the medium has answered";
  bool gone = false;
  s.shards[0]->detach(holder.identity->id, port::loss_reason::logout, [&] { gone = true; });
  s.run();
  EXPECT_TRUE(gone);
  s.end_stall();
  s.run();
  EXPECT_EQ(s.coordinator->snapshot()->serves, unit_snapshot::service::on);
}

TEST(ownership, a_host_that_sets_target_port_groups_is_answered_when_the_unit_has_moved) {
  fixture s(shared_unit());
  s.run();
  const auto other = join_another(s);
  initiator& a = s.add();
  const octets cdb{0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0}, list{0, 0, 0, 0, 0, 0, 0, 2};
  exchange& asked = a.send(cdb, list);
  s.run();
  EXPECT_EQ(asked.completions, 0) << "the heir has not claimed it";
  EXPECT_EQ(s.coordinator->snapshot()->owned->heir, 2);
  commit(s, *other, agreement::claim{2, 20, s.coordinator->snapshot()->owned->epoch});
  EXPECT_TRUE(asked.good());
  EXPECT_EQ(s.coordinator->snapshot()->owned->owner, 2);
}

TEST(ownership, a_reset_does_not_wait_for_a_move_that_a_host_asked_for) {
  fixture s(shared_unit());
  s.run();
  const auto other = join_another(s);
  initiator& a = s.add();
  initiator& b = s.add(1);
  exchange& asked = a.send({0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 2});
  s.run();
  managed& reset = b.manage(port::task_function::logical_unit_reset);
  s.run();
  EXPECT_EQ(reset.answers, 1);
  EXPECT_EQ(asked.silenced, port::silence::reset);
  commit(s, *other, agreement::claim{2, 20, s.coordinator->snapshot()->owned->epoch});
}

TEST(ownership, a_host_is_told_when_the_unit_did_not_move) {
  fixture s(shared_unit());
  s.run();
  const auto other = join_another(s);
  initiator& a = s.add();
  exchange& asked = a.send({0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 2});
  s.run();
  commit(s, *other, agreement::leave{2, 20});
  EXPECT_TRUE(asked.sensed(sense_key::hardware_error, asc::set_target_port_groups_failed));
  EXPECT_EQ(s.coordinator->snapshot()->owned->owner, 1) << "nobody else is there";
}

}  // namespace
}  // namespace sluice::unit
