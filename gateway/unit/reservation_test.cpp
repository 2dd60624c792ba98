#include "gateway/unit/test_fixture.hpp"

namespace sluice::unit {
namespace {

using scsi::sense_key;
using scsi::status;
namespace asc = scsi::asc;

enum : std::uint8_t { do_register, do_reserve, do_release, do_clear, do_preempt, do_preempt_abort, do_ignore };
constexpr std::uint8_t aptpl = 1;

exchange& pr(fixture& s, initiator& i, std::uint8_t action, std::uint64_t key, std::uint64_t action_key = 0,
             std::uint8_t type = 0, std::uint8_t flags = 0) {
  return s.done(i.send(pr_out(action, type), pr_list(key, action_key, flags)));
}
octets pr_in(fixture& s, initiator& i, std::uint8_t action) {
  return s.done(i.send(cdb10(0x5e, 0, 1024, action), {}, 1024)).in;
}

TEST(unit_reservations, hold_on_every_core) {
  fixture_options how;
  how.shards = 3;
  fixture s(how);
  initiator& a = s.add(0);
  initiator& b = s.add(1);
  initiator& c = s.add(2);
  EXPECT_TRUE(pr(s, a, do_register, 0, 0xa).good());
  EXPECT_TRUE(pr(s, b, do_register, 0, 0xb).good());
  EXPECT_TRUE(pr(s, a, do_reserve, 0xa, 0, 5).good());  // Write Exclusive - Registrants Only
  EXPECT_TRUE(s.done(b.send(write10(0, 1), filled(512, 1))).good());
  EXPECT_TRUE(s.done(c.send(write10(0, 1), filled(512, 1))).ended_with(status::reservation_conflict));
  EXPECT_TRUE(s.done(c.send(read10(0, 1), {}, 512)).good());
  EXPECT_TRUE(s.done(c.send({0x16, 0, 0, 0, 0, 0})).ended_with(status::reservation_conflict));
  EXPECT_TRUE(s.done(b.send({0x16, 0, 0, 0, 0, 0})).good());  // CRH
  const octets keys = pr_in(s, c, 0);
  EXPECT_EQ(wire::load32(keys, 0), 2u);
  EXPECT_EQ(wire::load32(keys, 4), 16u);
  EXPECT_EQ(wire::load64(pr_in(s, c, 1), 8), 0xau);
  EXPECT_GT(pr_in(s, c, 3).size(), 48u);
  EXPECT_TRUE(pr(s, a, do_release, 0xa, 0, 5).good());
  EXPECT_TRUE(s.done(b.send(test_unit_ready())).sensed(sense_key::unit_attention, asc::reservations_released));
  EXPECT_TRUE(s.done(c.send(write10(0, 1), filled(512, 1))).good());
}

TEST(unit_reservations, stay_when_the_nexus_goes_and_comes_back) {
  fixture s;
  initiator& a = s.add(0, "iqn.2026-11.org.example:a");
  initiator& b = s.add();
  EXPECT_TRUE(pr(s, a, do_register, 0, 0xa).good());
  EXPECT_TRUE(pr(s, a, do_reserve, 0xa, 0, 3).good());
  s.remove(a);
  EXPECT_TRUE(s.done(b.send(read10(0, 1), {}, 512)).ended_with(status::reservation_conflict));
  initiator& again = s.add(0, "iqn.2026-11.org.example:a");
  EXPECT_TRUE(s.done(again.send(write10(0, 1), filled(512, 1))).good());
}

TEST(unit_reservations, preempt_and_abort_ends_tasks_on_other_cores) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    fixture_options how;
    how.shards = 2;
    how.delays = true;
    how.seed = seed;
    fixture s(how);
    initiator& a = s.add(0);
    initiator& b = s.add(1);
    EXPECT_TRUE(pr(s, a, do_register, 0, 0xa).good());
    EXPECT_TRUE(pr(s, b, do_register, 0, 0xb).good());
    EXPECT_TRUE(pr(s, b, do_reserve, 0xb, 0, 1).good());
    s.late = true;
    std::vector<exchange*> is_aborted;
    for (int i = 0; i < 4; ++i) is_aborted.push_back(&b.send(write10(0, 1), filled(512, 7)));
    exchange& preempts = a.send(pr_out(do_preempt_abort, 1), pr_list(0xa, 0xb));
    while (preempts.completions == 0) s.later.step();
    EXPECT_TRUE(preempts.good());
    // From here on nothing of b reaches the medium.
    s.fails = [&](const store::request& r) {
      EXPECT_NE(r.what, store::verb::write);
      return store::status::good;
    };
    s.run();
    for (exchange* e : is_aborted) {
      EXPECT_EQ(e->completions, 1);
      EXPECT_TRUE(e->silent || e->good() || e->ended_with(status::reservation_conflict) ||
                  e->sensed(sense_key::unit_attention, asc::registrations_preempted));
    }
    s.fails = {};
    EXPECT_EQ(wire::load64(pr_in(s, a, 1), 8), 0xau);
  }
}

TEST(unit_reservations, survive_power_loss_with_aptpl) {
  fixture s;
  initiator& a = s.add(0, "iqn.2026-11.org.example:a");
  EXPECT_TRUE(pr(s, a, do_register, 0, 0xa, 0, aptpl).good());
  EXPECT_TRUE(pr(s, a, do_reserve, 0xa, 0, 3).good());
  const auto reborn = s.make_coordinator();
  EXPECT_TRUE(reborn->snapshot()->reservations.holds({a.identity->initiator, 1}));
  EXPECT_EQ(reborn->snapshot()->reservations.registrants, s.coordinator->snapshot()->reservations.registrants);
  EXPECT_TRUE(pr(s, a, do_register, 0xa, 0xc).good());  // without APTPL: not any more
  EXPECT_FALSE(s.make_coordinator()->snapshot()->reservations.reserved());
}

TEST(unit_reservations, go_over_to_a_unit_that_takes_the_place_and_change_no_more_from_then_on) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    fixture_options how;
    how.shards = 2;
    how.delays = true;
    how.seed = seed;
    fixture s(how);
    initiator& a = s.add(0);
    initiator& b = s.add(1);
    EXPECT_TRUE(pr(s, a, do_register, 0, 0xa).good());
    EXPECT_TRUE(pr(s, b, do_register, 0, 0xb).good());
    exchange& early = a.send(pr_out(do_reserve, 5), pr_list(0xa, 0, 0));
    std::optional<reservations::state> held;
    s.coordinator->freeze([&](const snapshot_ptr& now) { held = now->reservations; });
    exchange& late = b.send(pr_out(do_preempt, 5), pr_list(0xb, 0xa, 0));
    s.run();
    ASSERT_TRUE(held);
    EXPECT_TRUE(late.ended_with(status::busy));
    EXPECT_TRUE(early.good() || early.ended_with(status::busy));
    const auto next = s.make_coordinator(true);
    EXPECT_EQ(next->snapshot()->reservations.registrants.size(), 2U) << "though nothing lasts without APTPL";
    EXPECT_EQ(next->snapshot()->reservations.reserved(), early.good()) << "seed " << seed;
    EXPECT_TRUE(s.done(b.send(test_unit_ready())).good());
    s.coordinator->thaw();
    EXPECT_TRUE(pr(s, b, do_preempt, 0xb, 0xa, 5).good());
  }
}

/// Else a host that another one's logout makes room for would find the unit reserved, at another gateway.
TEST(unit_reservations, end_before_the_nexus_that_made_them) {
  for (const octets& cdb : {octets{0x16, 0, 0, 0, 0, 0}, octets{0x1e, 0, 0, 0, 1, 0}}) {
    fixture s;
    initiator& a = s.add();
    ASSERT_TRUE(s.done(a.send(cdb)).good());
    bool was_free = false;
    s.shards[0]->detach(a.identity->id, port::loss_reason::logout, [&] {
      const unit_snapshot& now = *s.coordinator->snapshot();
      was_free = now.reserve_holder == 0 && now.prevents_removal.empty();
    });
    s.run();
    EXPECT_TRUE(was_free);
  }
}

TEST(unit_reservations, the_operator_clears_them) {
  fixture s;
  initiator& a = s.add();
  EXPECT_TRUE(pr(s, a, do_register, 0, 0xa, 0, aptpl).good());
  s.coordinator->clear_reservations();
  s.run();
  EXPECT_TRUE(s.done(a.send(test_unit_ready())).sensed(sense_key::unit_attention, asc::reservations_preempted));
  EXPECT_TRUE(s.make_coordinator()->snapshot()->reservations.registrants.empty());
}

/// SPEC_I_PT with TransportIDs without an ISID, as sg_persist -X makes them: all ports of that initiator that are
/// known.
TEST(unit_reservations, an_iscsi_name_stands_for_the_known_ports_of_its_initiator) {
  fixture_options how;
  how.shards = 2;
  fixture s(how);
  initiator& a = s.add(0);
  initiator& first = s.add(0, "iqn.2026-11.org.example:two");
  initiator& second = s.add(1, "iqn.2026-11.org.example:two");
  second.identity->initiator.extension = "0x000000000002";
  s.remove(second);
  initiator& again = s.add(1, "iqn.2026-11.org.example:two", false);
  const auto register_for = [&](const std::string& name) {
    octets list = pr_list(0, 0xabc, 8);
    const octets id = scsi::encode(scsi::transport_id{scsi::protocol::iscsi, name, ""});
    list.resize(28);
    wire::store32(list, 24, id.size());
    list.insert(list.end(), id.begin(), id.end());
    octets cdb = pr_out(0);
    cdb[8] = static_cast<std::uint8_t>(list.size());
    return s.done(a.send(cdb, list)).outcome;
  };
  const scsi::outcome nobody = register_for("iqn.2026-11.org.example:nobody");
  EXPECT_EQ(nobody.sense.code, asc::invalid_field_in_parameter_list);
  EXPECT_EQ(nobody.sense.field_byte, 28);
  EXPECT_TRUE(s.coordinator->snapshot()->reservations.registrants.empty());
  EXPECT_EQ(register_for("iqn.2026-11.ORG.example:TWO").status, scsi::status::good);
  const auto& registered = s.coordinator->snapshot()->reservations;
  EXPECT_TRUE(registered.find({a.identity->initiator, 1}));
  EXPECT_TRUE(registered.find({first.identity->initiator, 1}));
  EXPECT_TRUE(registered.find({again.identity->initiator, 1}));
  for (const auto& r : registered.registrants) EXPECT_FALSE(r.who.initiator.extension.empty());
}

TEST(unit_reservations, refused_lists) {
  fixture s;
  initiator& a = s.add();
  EXPECT_TRUE(s.done(a.send(pr_out(do_register), filled(23, 0)))
                  .sensed(sense_key::illegal_request, asc::parameter_list_length_error));
  EXPECT_TRUE(pr(s, a, do_reserve, 1, 0, 5).ended_with(status::reservation_conflict));
  EXPECT_TRUE(pr(s, a, do_ignore, 0, 1).good());
  EXPECT_TRUE(pr(s, a, do_reserve, 1, 0, 2).sensed(sense_key::illegal_request, asc::invalid_field_in_cdb));
  EXPECT_TRUE(pr(s, a, do_reserve, 1, 0, 5).good());
  EXPECT_TRUE(pr(s, a, do_release, 1, 0, 6).sensed(sense_key::illegal_request, asc::invalid_release));
  EXPECT_TRUE(pr(s, a, do_clear, 1).good());
  EXPECT_TRUE(s.done(a.send({0x16, 0, 0, 0, 0, 0})).good());
  EXPECT_TRUE(pr(s, a, do_register, 0, 1).ended_with(status::reservation_conflict));
}

}  // namespace
}  // namespace sluice::unit
