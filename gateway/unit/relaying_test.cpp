#include "gateway/agreement/codec.hpp"
#include "gateway/agreement/decide.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/unit/test_fixture.hpp"

// A unit that another gateway owns: its commands go there. And the other side: commands that came by another gateway.
namespace sluice::unit {
namespace {

using access::relayed;
using access::relayed_command;
using scsi::asymmetric_access;
using scsi::sense_key;
using scsi::status;
namespace asc = scsi::asc;

constexpr gateway_id here = 1, there = 2;

/// The owner, as a test makes it answer.
class played_owner final : public access::owner_link {
 public:
  void submit(relayed_command& c) noexcept override {
    c.at = relayed_command::stage::sent;
    c.waits = true;
    sent.push_back(&c);
    epochs.push_back(c.epoch);
    units.emplace_back(c.unit);
    take(c);
  }
  void go_on(relayed_command& c) noexcept override {
    c.waits = true;
    ++steps;
    take(c);
  }
  void end(relayed_command& c) noexcept override {
    ++ends;
    if (!answers_ends || is_answered(c)) return;
    c.waits = true;
    c.silenced = port::silence::transport_abort;
    answer(c, relayed::ended);
  }
  void is_over(relayed_command& c) noexcept override { answer(c, relayed::lost); }
  void forget(std::string_view, std::uint64_t nexus_id) noexcept override { forgotten.push_back(nexus_id); }
  void has_moved(std::string_view, gateway_id to) noexcept override { moved_to.push_back(to); }

  void answer(relayed_command& c, relayed how) {
    answered_.push_back(&c);
    later->add(900, [this, &c, how] {
      std::erase(answered_, &c);
      c.came = how;
      c.waits = false;
      if (is_final(how)) std::erase(sent, &c);
      c.on_answer();
    });
  }
  void want(relayed_command& c, std::uint64_t offset, std::uint32_t length) {
    c.wanted_offset = offset;
    c.wanted_length = length;
    answer(c, relayed::wants_data);
  }
  void bring(relayed_command& c, std::uint8_t value, std::uint32_t size, relayed how) {
    std::fill_n(c.room.begin(), size, value);
    c.octets = size;
    c.length_in = c.task->expected_data_in;
    answer(c, how);
  }

  happenings* later = nullptr;
  std::vector<relayed_command*> sent;
  std::vector<std::uint64_t> epochs;
  std::vector<std::string> units;
  octets brought;  // data-out
  unsigned steps = 0, ends = 0;
  bool answers_ends = true;
  std::vector<std::uint64_t> forgotten;
  std::vector<gateway_id> moved_to;

 private:
  bool is_answered(const relayed_command& c) const {
    return std::find(answered_.begin(), answered_.end(), &c) != answered_.end();
  }
  void take(relayed_command& c) {
    for (const iovec& part : c.data_out) {
      const auto* from = static_cast<const std::uint8_t*>(part.iov_base);
      brought.insert(brought.end(), from, from + part.iov_len);
    }
  }
  std::vector<relayed_command*> answered_;
};

/// Gateway 2 is a member, and in time the owner.
struct other_gateway {
  explicit other_gateway(fixture& s) : s_(s), seat(*s.authority->open("unit/disk", *s.loop)) {
    const agreement::joining wanted{{there, 20, {}, {{.number = 2, .ports = {3}}}, false, true}, {}, {}, {}, false};
    agreement::join_unit(*seat, wanted, [](const result<agreement::agreed>& now) { EXPECT_TRUE(now); });
    s.run();
  }
  void take_the_unit() {
    s_.coordinator->move(there, [](const result<void>&) {});
    s_.run();
    commit(agreement::claim{there, 20, s_.coordinator->snapshot()->owned->epoch});
    ASSERT_EQ(s_.coordinator->snapshot()->owned->owner, there);
  }
  void commit(const agreement::change& wanted) {
    const agreement::decision d = agreement::decide(*s_.coordinator->snapshot(), wanted, {});
    ASSERT_TRUE(d.next);
    const std::uint64_t expected = s_.coordinator->snapshot()->epoch;
    seat->propose({expected, agreement::encode(*d.next), d.lasts},
                  [](const state::verdict& v) { EXPECT_EQ(v.what, state::verdict::kind::committed); });
    s_.run();
  }
  fixture& s_;
  std::unique_ptr<state::seat> seat;
};

struct relaying : testing::Test {
  relaying() {
    fixture_options how;
    how.shards = 2;
    how.shares = how.relays = true;
    how.limits.unit = "disk";
    how.limits.owners = &owner;
    how.limits.deadline_ns = ns_per_s;
    how.limits.owner_patience_ns = 0;
    s.emplace(how);
    owner.later = &s->later;
    s->run();
    other.emplace(*s);
  }
  /// A nexus of gateway 2 whose commands come here.
  initiator& add_relayed() {
    initiator& made = s->initiators.emplace_back(*s, 0, global_id(there, 7), "iqn.2026-11.org.example:far");
    made.identity->relayed = true;
    s->shards[0]->attach(made.identity);
    return made;
  }
  exchange& send_relayed(initiator& by, octets cdb, octets out, std::uint64_t room, std::uint64_t epoch) {
    exchange& e = by.send(std::move(cdb), std::move(out), room);
    e.task.agreed_epoch = epoch;
    s->run();
    return e;
  }
  /// Nothing waits to be told to it.
  initiator& add_host() {
    initiator& a = s->add();
    s->done(a.send(test_unit_ready()));
    return a;
  }

  played_owner owner;
  std::optional<fixture> s;
  std::optional<other_gateway> other;
};

TEST_F(relaying, commands_on_blocks_go_to_the_owner_and_come_back_from_it) {
  initiator& a = add_host();
  other->take_the_unit();
  s->done(a.send(test_unit_ready()));  // hears of it
  exchange& wrote = a.send(write10(3, 8), patterned(8 * 512, 1), 0, port::task_attribute::simple, 512);
  s->run();
  ASSERT_EQ(owner.sent.size(), 1u);
  EXPECT_EQ(owner.units, std::vector<std::string>{"disk"});
  EXPECT_EQ(owner.epochs.front(), s->coordinator->snapshot()->epoch);
  EXPECT_EQ(owner.brought, patterned(512, 1)) << "what was there went along";
  owner.brought.clear();
  owner.want(*owner.sent.front(), 512, 7 * 512);
  s->run();
  EXPECT_EQ(owner.brought, octets(wrote.out.begin() + 512, wrote.out.end()));
  owner.sent.front()->length_out = 8 * 512;
  owner.answer(*owner.sent.front(), relayed::ended);
  EXPECT_TRUE(s->done(wrote).good());
  EXPECT_EQ(wrote.task.length_out, 8 * 512u);

  exchange& read = a.send(read10(3, 8), {}, 8 * 512);
  s->run();
  owner.bring(*owner.sent.front(), 1, 4 * 512, relayed::has_data);
  s->run();
  owner.bring(*owner.sent.front(), 2, 4 * 512, relayed::ended);
  EXPECT_TRUE(s->done(read).good());
  octets expected = filled(4 * 512, 1);
  expected.resize(8 * 512, 2);
  EXPECT_EQ(read.in, expected);
}

TEST_F(relaying, what_the_snapshot_answers_does_not_go_there) {
  initiator& a = add_host();
  other->take_the_unit();
  s->done(a.send(test_unit_ready()));
  EXPECT_TRUE(s->done(a.send({0x12, 0, 0, 0, 36, 0}, {}, 36)).good());
  EXPECT_TRUE(s->done(a.send(test_unit_ready())).good());
  EXPECT_TRUE(s->done(a.send(cdb10(0x25, 0, 0), {}, 8)).good());
  EXPECT_TRUE(owner.sent.empty());
}

TEST_F(relaying, ports_that_relay_are_active_and_not_optimized) {
  other->take_the_unit();
  const auto& groups = s->coordinator->snapshot()->groups;
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].state, asymmetric_access::active_non_optimized);
  EXPECT_EQ(groups[1].state, asymmetric_access::active_optimized);
  EXPECT_EQ(owner.moved_to.back(), there);
}

TEST_F(relaying, each_end_of_a_command_there_has_its_answer_here) {
  initiator& a = add_host();
  other->take_the_unit();
  s->done(a.send(test_unit_ready()));
  const auto ends = [&](octets cdb, octets out, relayed how) -> exchange& {
    exchange& e = a.send(std::move(cdb), std::move(out));
    s->run();
    owner.answer(*owner.sent.front(), how);
    return s->done(e);
  };
  EXPECT_TRUE(ends(write10(0, 1), filled(512, 1), relayed::not_here).ended_with(status::busy));
  EXPECT_TRUE(ends(write10(0, 1), filled(512, 1), relayed::unreachable)
                  .sensed(sense_key::not_ready, asc::target_port_in_standby));
  EXPECT_TRUE(ends(write10(0, 1), filled(512, 1), relayed::lost).ended_with(status::busy)) << "it may be done twice";
  EXPECT_TRUE(ends(compare_and_write16(0, 1), filled(1024, 1), relayed::lost)
                  .sensed(sense_key::aborted_command, asc::io_process_terminated))
      << "it may not";
}

TEST_F(relaying, an_abort_ends_the_command_there_before_it_is_answered) {
  initiator& a = add_host();
  other->take_the_unit();
  s->done(a.send(test_unit_ready()));
  owner.answers_ends = false;
  exchange& e = a.send(write10(0, 1), filled(512, 1));
  s->run();
  managed& m = a.manage(port::task_function::abort_task, e.task.tag);
  s->run();
  EXPECT_EQ(owner.ends, 1u);
  EXPECT_EQ(m.answers, 0) << "the owner may write yet";
  owner.answer(*owner.sent.front(), relayed::ended);
  s->run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_TRUE(e.silent);
}

TEST_F(relaying, an_owner_that_is_gone_holds_up_neither_a_reset_nor_its_successor) {
  initiator& a = add_host();
  other->take_the_unit();
  s->done(a.send(test_unit_ready()));
  owner.answers_ends = false;
  exchange& e = a.send(write10(0, 1), filled(512, 1));
  s->run();
  managed& m = a.manage(port::task_function::logical_unit_reset);
  s->run();
  EXPECT_EQ(m.answers, 0);
  // Gateway 2 goes without having ended it, and who stays owns the unit.
  other->commit(agreement::leave{there, 20});
  other->seat.reset();
  s->run();
  EXPECT_EQ(s->coordinator->snapshot()->owned->owner, here);
  EXPECT_EQ(owner.moved_to.back(), here);
  owner.answer(*owner.sent.front(), relayed::lost);  // as the link does when the unit has moved
  s->run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_TRUE(e.silent);
}

TEST_F(relaying, who_owes_data_to_the_owner_holds_up_no_abort) {
  initiator& a = add_host();
  other->take_the_unit();
  s->done(a.send(test_unit_ready()));
  a.stalled = true;
  exchange& e = a.send(write10(0, 8), filled(8 * 512, 1));
  s->run();
  owner.want(*owner.sent.front(), 0, 8 * 512);
  s->run();
  ASSERT_TRUE(a.owes());
  managed& m = a.manage(port::task_function::logical_unit_reset);
  s->run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_GE(owner.ends, 1u);
  EXPECT_TRUE(e.silent);
}

TEST_F(relaying, a_read_that_the_owner_does_not_answer_is_given_up_and_a_write_ended_by_agreement) {
  initiator& a = add_host();
  other->take_the_unit();
  s->done(a.send(test_unit_ready()));
  owner.answers_ends = false;
  exchange& read = a.send(read10(0, 1), {}, 512);
  exchange& write = a.send(write10(8, 1), filled(512, 1));
  s->run();
  s->pass(40);
  EXPECT_TRUE(read.ended_with(status::busy));
  EXPECT_TRUE(write.ended_with(status::busy)) << "all obey: the owner has ended it";
  ASSERT_FALSE(s->coordinator->snapshot()->events.empty());
  EXPECT_EQ(s->coordinator->snapshot()->events.back().aborts.at(0).manner, abort_manner::relayed);
  EXPECT_EQ(read.completions, 1);
  owner.answer(*owner.sent.front(), relayed::lost);
}

TEST_F(relaying, what_came_by_a_gateway_that_cannot_reach_this_one_ends_by_agreement) {
  initiator& far = add_relayed();
  initiator& a = add_host();
  far.stalled = a.stalled = true;
  exchange& e = send_relayed(far, write10(0, 8), filled(8 * 512, 1), 0, s->coordinator->snapshot()->epoch);
  exchange& own = a.send(write10(64, 8), filled(8 * 512, 1));
  s->run();
  ASSERT_TRUE(far.owes() && a.owes());
  const std::uint64_t before = s->coordinator->snapshot()->epoch;
  other->commit(agreement::cut{there});
  EXPECT_TRUE(e.silent);
  EXPECT_EQ(own.completions, 0) << "it came by this gateway";
  exchange& late = send_relayed(far, write10(0, 1), filled(512, 1), 0, before);
  EXPECT_EQ(late.silenced, port::silence::not_owned) << "it was on its way";
  a.release();
  EXPECT_TRUE(s->done(own).good());
}

TEST_F(relaying, the_units_move_does_not_wait_for_what_its_owner_has) {
  initiator& a = add_host();
  other->take_the_unit();
  s->done(a.send(test_unit_ready()));
  exchange& e = a.send(write10(0, 1), filled(512, 1));
  s->run();
  ASSERT_EQ(owner.sent.size(), 1u);
  other->commit(agreement::move{here});
  EXPECT_EQ(s->coordinator->snapshot()->owned->owner, here) << "claimed: all others obey";
  EXPECT_EQ(owner.moved_to.back(), here);
  EXPECT_EQ(e.completions, 0);
  owner.answer(*owner.sent.front(), relayed::lost);
  EXPECT_TRUE(s->done(e).ended_with(status::busy));
  s->done(a.send(test_unit_ready()));
  EXPECT_TRUE(s->done(a.send(write10(0, 1), filled(512, 2))).good()) << "done here now";
}

TEST_F(relaying, a_nexus_that_goes_is_forgotten_there) {
  initiator& a = add_host();
  const std::uint64_t id = a.identity->id;
  s->remove(a);
  EXPECT_EQ(owner.forgotten, std::vector<std::uint64_t>{id});
}

TEST_F(relaying, the_owner_does_what_came_by_another_gateway) {
  initiator& far = add_relayed();
  const std::uint64_t now = s->coordinator->snapshot()->epoch;
  EXPECT_TRUE(send_relayed(far, write10(0, 1), filled(512, 1), 0, now).good()) << "no unit attention is in its way";
  EXPECT_EQ(send_relayed(far, read10(0, 1), {}, 512, now).in, filled(512, 1));
}

TEST_F(relaying, who_does_not_own_the_unit_refuses_what_came_by_another) {
  initiator& far = add_relayed();
  other->take_the_unit();
  exchange& e = send_relayed(far, write10(0, 1), filled(512, 1), 0, s->coordinator->snapshot()->epoch);
  EXPECT_TRUE(e.silent);
  EXPECT_EQ(e.silenced, port::silence::not_owned);
}

TEST_F(relaying, what_was_sent_before_a_reset_was_obeyed_is_refused) {
  initiator& far = add_relayed();
  const std::uint64_t before = s->coordinator->snapshot()->epoch;
  initiator& a = add_host();
  a.manage(port::task_function::logical_unit_reset);
  s->run();
  const std::uint64_t after = s->coordinator->snapshot()->epoch;
  ASSERT_GT(after, before);
  EXPECT_EQ(send_relayed(far, write10(0, 1), filled(512, 1), 0, before).silenced, port::silence::not_owned);
  EXPECT_TRUE(send_relayed(far, write10(0, 1), filled(512, 1), 0, after).good());
}

TEST_F(relaying, a_reset_ends_what_came_by_another_gateway) {
  initiator& far = add_relayed();
  initiator& a = add_host();
  far.stalled = true;
  exchange& e = send_relayed(far, write10(0, 8), filled(8 * 512, 1), 0, s->coordinator->snapshot()->epoch);
  ASSERT_TRUE(far.owes());
  managed& m = a.manage(port::task_function::logical_unit_reset);
  s->run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_TRUE(e.silent);
}

TEST_F(relaying, who_is_gone_from_the_owner_keeps_what_it_holds) {
  initiator& far = add_relayed();
  const std::uint64_t id = far.identity->id;
  const octets cdb{0x16, 0, 0, 0, 0, 0};
  other->commit(agreement::command{id, 1, {far.identity->initiator, 1}, cdb, {}});
  ASSERT_EQ(s->coordinator->snapshot()->reserve_holder, id);
  s->remove(far);
  EXPECT_EQ(s->coordinator->snapshot()->reserve_holder, id) << "its own gateway says when it is gone";
}

}  // namespace
}  // namespace sluice::unit
