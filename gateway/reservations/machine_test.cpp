#include "gateway/reservations/machine.hpp"

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>
#include <algorithm>
#include <map>
#include <set>

#include "gateway/reservations/blob.hpp"
#include "gateway/reservations/conflicts.hpp"
#include "gateway/reservations/report.hpp"
#include "gateway/scsi/asc.hpp"

namespace sluice::reservations {
namespace {

namespace asc = scsi::asc;
using scsi::reservation_rule;

const std::vector<std::uint16_t> ports{1, 2};

i_t nexus(unsigned number, std::uint16_t port = 1) {
  return {{scsi::protocol::iscsi, "iqn.2026-11.org.example:host" + std::to_string(number), "0x000000000001"}, port};
}

request ask(service_action action, std::uint64_t key, std::uint64_t action_key = 0, unsigned type_value = 0) {
  request r;
  r.action = action;
  r.key = key;
  r.action_key = action_key;
  r.type = static_cast<std::uint8_t>(type_value);
  return r;
}

verdict act(state& s, const i_t& who, const request& r) {
  return execute(s, who, r, ports).verdict;
}

void enrol(state& s, unsigned number, std::uint64_t key) {
  ASSERT_EQ(act(s, nexus(number), ask(service_action::register_key, 0, key)), verdict::good);
}

/// Codes told to `who`.
std::vector<scsi::additional_sense> told(const effects& e, const i_t& who) {
  std::vector<scsi::additional_sense> codes;
  for (const attention& a : e.attentions)
    if (a.who == who) codes.push_back(a.code);
  return codes;
}

TEST(reservations, registering) {
  state s;
  EXPECT_EQ(act(s, nexus(1), ask(service_action::register_key, 7, 8)), verdict::conflict);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::register_key, 0, 0)), verdict::good);
  EXPECT_EQ(s.generation, 0u);
  enrol(s, 1, 8);
  EXPECT_EQ(s.generation, 1u);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::register_key, 7, 9)), verdict::conflict);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::register_key, 8, 9)), verdict::good);
  EXPECT_EQ(s.find(nexus(1))->key, 9u);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::register_and_ignore, 1234, 10)), verdict::good);
  EXPECT_EQ(s.find(nexus(1))->key, 10u);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::register_key, 10, 0)), verdict::good);
  EXPECT_TRUE(s.registrants.empty());
  EXPECT_EQ(s.generation, 4u);
}

TEST(reservations, all_target_ports_and_other_initiators) {
  state s;
  request r = ask(service_action::register_key, 0, 5);
  r.all_tg_pt = r.spec_i_pt = true;
  r.initiators = {nexus(2).initiator};
  EXPECT_EQ(act(s, nexus(1), r), verdict::good);
  for (unsigned n : {1u, 2u})
    for (std::uint16_t port : ports) EXPECT_TRUE(s.find(nexus(n, port)));
  // Others may not be registered already, and nothing is done in part.
  state before = s;
  r.initiators = {nexus(3).initiator, nexus(2).initiator};
  EXPECT_EQ(act(s, nexus(4), r), verdict::invalid_field_in_parameter_list);
  EXPECT_EQ(s, before);
  EXPECT_EQ(act(s, nexus(1),
                [&] {
                  request again = r;
                  again.key = 5;
                  return again;
                }()),
            verdict::invalid_field_in_parameter_list);
}

TEST(reservations, too_many) {
  state s;
  for (unsigned i = 0; i < max_registrants; ++i) enrol(s, i, 1);
  EXPECT_EQ(act(s, nexus(max_registrants), ask(service_action::register_key, 0, 1)), verdict::insufficient_resources);
  EXPECT_EQ(s.registrants.size(), max_registrants);
}

TEST(reservations, reserving_and_releasing) {
  state s;
  EXPECT_EQ(act(s, nexus(1), ask(service_action::reserve, 0, 0, 1)), verdict::conflict);
  enrol(s, 1, 1);
  enrol(s, 2, 2);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, 2)), verdict::invalid_field_in_cdb);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::reserve, 9, 0, 1)), verdict::conflict);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, 5)), verdict::good);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, 5)), verdict::good);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, 6)), verdict::conflict);
  EXPECT_EQ(act(s, nexus(2), ask(service_action::reserve, 2, 0, 5)), verdict::conflict);
  EXPECT_EQ(act(s, nexus(2), ask(service_action::release, 2, 0, 5)), verdict::good);
  EXPECT_TRUE(s.reserved());
  EXPECT_EQ(act(s, nexus(1), ask(service_action::release, 1, 0, 6)), verdict::invalid_release);
  const effects released = execute(s, nexus(1), ask(service_action::release, 1, 0, 5), ports);
  EXPECT_EQ(told(released, nexus(2)), std::vector{asc::reservations_released});
  EXPECT_TRUE(told(released, nexus(1)).empty());
  EXPECT_FALSE(s.reserved());
  EXPECT_EQ(s.generation, 2u);
}

TEST(reservations, all_registrants_hold_together) {
  state s;
  enrol(s, 1, 1);
  enrol(s, 2, 2);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, 7)), verdict::good);
  EXPECT_TRUE(s.holds(nexus(1)) && s.holds(nexus(2)));
  EXPECT_FALSE(s.holds(nexus(3)));
  EXPECT_EQ(act(s, nexus(2), ask(service_action::reserve, 2, 0, 7)), verdict::good);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::register_key, 1, 0)), verdict::good);
  EXPECT_TRUE(s.reserved());
  EXPECT_EQ(act(s, nexus(2), ask(service_action::register_key, 2, 0)), verdict::good);
  EXPECT_FALSE(s.reserved());
}

TEST(reservations, unregistering_the_holder_releases) {
  for (unsigned type_value : {1u, 3u, 5u, 6u}) {
    state s;
    enrol(s, 1, 1);
    enrol(s, 2, 2);
    ASSERT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, type_value)), verdict::good);
    const effects e = execute(s, nexus(1), ask(service_action::register_key, 1, 0), ports);
    EXPECT_FALSE(s.reserved());
    EXPECT_EQ(told(e, nexus(2)).size(), type_value >= 5 ? 1u : 0u);
  }
}

TEST(reservations, preempting_the_holder) {
  state s;
  for (unsigned i : {1u, 2u, 3u}) enrol(s, i, i);
  ASSERT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, 1)), verdict::good);
  const effects e = execute(s, nexus(2), ask(service_action::preempt_and_abort, 2, 1, 3), ports);
  EXPECT_EQ(s.holder, nexus(2));
  EXPECT_EQ(s.type, type::exclusive_access);
  EXPECT_FALSE(s.find(nexus(1)));
  EXPECT_EQ(told(e, nexus(1)), std::vector{asc::registrations_preempted});
  EXPECT_EQ(told(e, nexus(3)), std::vector{asc::reservations_released});
  EXPECT_EQ(e.aborts, std::vector{nexus(1)});
  EXPECT_EQ(act(s, nexus(2), ask(service_action::preempt, 2, 77)), verdict::conflict);
  EXPECT_EQ(act(s, nexus(2), ask(service_action::preempt, 2, 0)), verdict::invalid_field_in_parameter_list);
}

TEST(reservations, preempting_oneself_keeps_the_registration) {
  state s;
  enrol(s, 1, 1);
  ASSERT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, 1)), verdict::good);
  const effects e = execute(s, nexus(1), ask(service_action::preempt_and_abort, 1, 1, 3), ports);
  EXPECT_EQ(e.verdict, verdict::good);
  EXPECT_EQ(s.holder, nexus(1));
  EXPECT_EQ(s.type, type::exclusive_access);
  EXPECT_TRUE(e.aborts.empty());
}

TEST(reservations, preempting_all_registrants) {
  state s;
  for (unsigned i : {1u, 2u, 3u}) enrol(s, i, i);
  ASSERT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, 8)), verdict::good);
  EXPECT_EQ(act(s, nexus(1), ask(service_action::preempt, 1, 3, 8)), verdict::good);
  EXPECT_FALSE(s.find(nexus(3)));
  EXPECT_TRUE(s.reserved());
  EXPECT_EQ(act(s, nexus(1), ask(service_action::preempt, 1, 0, 1)), verdict::good);
  EXPECT_EQ(s.registrants.size(), 1u);
  EXPECT_EQ(s.holder, nexus(1));
}

TEST(reservations, clearing) {
  state s;
  enrol(s, 1, 1);
  enrol(s, 2, 2);
  ASSERT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, 1)), verdict::good);
  EXPECT_EQ(act(s, nexus(3), ask(service_action::clear, 0)), verdict::conflict);
  const effects e = execute(s, nexus(2), ask(service_action::clear, 2), ports);
  EXPECT_EQ(told(e, nexus(1)), std::vector{asc::reservations_preempted});
  EXPECT_TRUE(s.registrants.empty() && !s.reserved());
}

TEST(reservations, register_and_move) {
  state s;
  enrol(s, 1, 1);
  request r = ask(service_action::register_and_move, 1, 9);
  r.move_target_port = 2;
  r.initiators = {nexus(2).initiator};
  EXPECT_EQ(act(s, nexus(1), r), verdict::invalid_field_in_cdb);  // nothing to move
  ASSERT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, 1)), verdict::good);
  request bad = r;
  bad.move_target_port = 3;
  EXPECT_EQ(act(s, nexus(1), bad), verdict::invalid_field_in_parameter_list);
  bad = r;
  bad.move_target_port = 1;
  bad.initiators = {nexus(1).initiator};
  EXPECT_EQ(act(s, nexus(1), bad), verdict::invalid_field_in_parameter_list);
  r.unregister = true;
  EXPECT_EQ(act(s, nexus(1), r), verdict::good);
  EXPECT_EQ(s.holder, nexus(2, 2));
  EXPECT_EQ(s.find(nexus(2, 2))->key, 9u);
  EXPECT_FALSE(s.find(nexus(1)));
}

TEST(reservations, the_table_of_conflicts) {
  struct row {
    unsigned type_value;
    bool registrant_writes, stranger_reads;
  };
  for (const row& expected : {row{1, false, true}, row{3, false, false}, row{5, true, true}, row{6, true, false},
                              row{7, true, true}, row{8, true, false}}) {
    state s;
    enrol(s, 1, 1);
    enrol(s, 2, 2);
    ASSERT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, expected.type_value)), verdict::good);
    const auto may = [&](unsigned who, reservation_rule rule) { return !conflicts(allowance_of(s, nexus(who)), rule); };
    EXPECT_TRUE(may(1, reservation_rule::write_like));
    EXPECT_EQ(may(2, reservation_rule::write_like), expected.registrant_writes);
    EXPECT_EQ(may(2, reservation_rule::read_like), expected.registrant_writes || expected.stranger_reads);
    EXPECT_FALSE(may(3, reservation_rule::write_like));
    EXPECT_EQ(may(3, reservation_rule::read_like), expected.stranger_reads);
    EXPECT_TRUE(may(3, reservation_rule::always));
    EXPECT_TRUE(may(3, reservation_rule::persistent_out));
  }
}

TEST(reservations, rules_that_look_at_the_cdb) {
  const std::uint8_t start[] = {0x1b, 0, 0, 0, 1, 0}, stop[] = {0x1b, 0, 0, 0, 0, 0};
  EXPECT_EQ(effective_rule(reservation_rule::start_stop, start), reservation_rule::always);
  EXPECT_EQ(effective_rule(reservation_rule::start_stop, stop), reservation_rule::write_like);
  const std::uint8_t prevent[] = {0x1e, 0, 0, 0, 1, 0}, allow[] = {0x1e, 0, 0, 0, 0, 0};
  EXPECT_EQ(effective_rule(reservation_rule::prevent_allow, prevent), reservation_rule::write_like);
  EXPECT_EQ(effective_rule(reservation_rule::prevent_allow, allow), reservation_rule::always);
  EXPECT_EQ(effective_rule(reservation_rule::read_like, stop), reservation_rule::read_like);
}

TEST(reservations, reserve_and_release_of_spc_2) {
  state s;
  std::uint64_t holder = 0;
  EXPECT_TRUE(reserve(s, nexus(1), 11, holder));
  EXPECT_FALSE(reserve(s, nexus(2), 12, holder));
  EXPECT_TRUE(release(s, nexus(2), 12, holder));
  EXPECT_EQ(holder, 11u);
  EXPECT_TRUE(release(s, nexus(1), 11, holder));
  EXPECT_EQ(holder, 0u);
  enrol(s, 1, 1);
  EXPECT_FALSE(reserve(s, nexus(1), 11, holder));  // registered, but nothing is reserved
  ASSERT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, 5)), verdict::good);
  EXPECT_TRUE(reserve(s, nexus(1), 11, holder));
  EXPECT_FALSE(release(s, nexus(2), 12, holder));
  EXPECT_EQ(holder, 0u);
}

TEST(reservations, reports) {
  state s;
  enrol(s, 1, 0x1122334455667788);
  ASSERT_EQ(act(s, nexus(1), ask(service_action::reserve, 0x1122334455667788, 0, 3)), verdict::good);
  const auto keys = report(scsi::pr_in_action::read_keys, s);
  EXPECT_EQ(keys, (std::vector<std::uint8_t>{0, 0, 0, 1, 0, 0, 0, 8, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}));
  const auto held = report(scsi::pr_in_action::read_reservation, s);
  EXPECT_EQ(held.size(), 24u);
  EXPECT_EQ(held[21], 3);
  const auto status = report(scsi::pr_in_action::read_full_status, s);
  EXPECT_EQ(status[8 + 12], 1);
  EXPECT_EQ(status[8 + 13], 3);
  EXPECT_EQ(status[8 + 19], 1);
  std::size_t used = 0;
  const auto who = scsi::decode_transport_id(const_bytes(status).subspan(32), used);
  ASSERT_TRUE(who.has_value());
  EXPECT_EQ(*who, nexus(1).initiator);
  EXPECT_EQ(used + 32, status.size());
  EXPECT_EQ(report(scsi::pr_in_action::report_capabilities, s).size(), 8u);
}

// -- against a model: the rules of SPC-4 5.12, written down once more with keys and sets only -----------------------

struct model {
  std::map<i_t, std::uint64_t> keys;
  unsigned type_value = 0;
  std::set<i_t> holders;  // those who took it; all registrants types: everyone in `keys`
  bool all() const { return type_value >= 7; }
  bool holds(const i_t& w) const { return type_value != 0 && (all() ? keys.contains(w) : holders.contains(w)); }
  void drop() {
    type_value = 0;
    holders.clear();
  }
  void remove(const i_t& w) {
    const bool only_holder = holds(w) && (!all() || keys.size() == 1);
    keys.erase(w);
    if (only_holder) drop();
  }
  void take(const i_t& w, unsigned t) {
    type_value = t;
    holders = {w};
  }
  bool knows(const i_t& w, std::uint64_t key) const { return keys.contains(w) && keys.at(w) == key; }

  bool apply(const i_t& w, const request& r) {
    switch (r.action) {
      case service_action::register_key:
        if ((keys.contains(w) ? keys.at(w) : 0) != r.key) return false;
        [[fallthrough]];
      case service_action::register_and_ignore:
        if (r.action_key == 0)
          remove(w);
        else
          keys[w] = r.action_key;
        return true;
      case service_action::reserve:
        if (!knows(w, r.key)) return false;
        if (type_value != 0) return holds(w) && type_value == r.type;
        take(w, r.type);
        return true;
      case service_action::release:
        if (!knows(w, r.key)) return false;
        if (!holds(w)) return true;
        if (type_value != r.type) return false;
        drop();
        return true;
      case service_action::clear:
        if (!knows(w, r.key)) return false;
        keys.clear();
        drop();
        return true;
      default:
        return preempt(w, r);
    }
  }
  bool preempt(const i_t& w, const request& r) {
    if (!knows(w, r.key)) return false;
    const bool everybody = all() && r.action_key == 0;
    if (r.action_key == 0 && !everybody) return false;
    const bool of_holder = type_value != 0 && !all() && keys.at(*holders.begin()) == r.action_key;
    std::vector<i_t> victims;
    for (const auto& [who, key] : keys)
      if (everybody || key == r.action_key) victims.push_back(who);
    if (victims.empty()) return false;
    const bool takes = everybody || of_holder;
    for (const i_t& v : victims)
      if (!takes || v != w) remove(v);
    if (takes) take(w, r.type);
    return true;
  }
};

RC_GTEST_PROP(reservations, agree_with_the_model, ()) {
  state s;
  model m;
  const int steps = *rc::gen::inRange(1, 60);
  for (int i = 0; i < steps; ++i) {
    const unsigned who = *rc::gen::inRange(1u, 5u);
    request r;
    r.action = static_cast<service_action>(*rc::gen::inRange(0, 7));
    r.type = static_cast<std::uint8_t>(*rc::gen::element(1, 3, 5, 6, 7, 8));
    const auto mine = s.find(nexus(who));
    r.key = *rc::gen::inRange(0, 5) != 0 && mine ? mine->key : *rc::gen::inRange<std::uint64_t>(0, 4);
    r.action_key = *rc::gen::inRange<std::uint64_t>(0, 4);
    const state before = s;
    const effects e = execute(s, nexus(who), r, ports);
    RC_ASSERT((e.verdict == verdict::good) == m.apply(nexus(who), r));
    if (e.verdict != verdict::good) RC_ASSERT(s == before);
    RC_ASSERT(e.changed == !(s == before));
    RC_ASSERT(s.registrants.size() == m.keys.size());
    for (const registrant& one : s.registrants) RC_ASSERT(m.keys.at(one.who) == one.key);
    RC_ASSERT(static_cast<unsigned>(s.type) == m.type_value);
    for (unsigned n = 1; n < 5; ++n) RC_ASSERT(s.holds(nexus(n)) == m.holds(nexus(n)));
    for (const attention& a : e.attentions) RC_ASSERT(a.who != nexus(who));
    state kept = s;
    kept.generation = 0;
    kept.aptpl = true;
    const auto parsed = parse(serialise(s));
    RC_ASSERT(parsed.has_value());
    RC_ASSERT(*parsed == kept);
  }
}

TEST(reservations, damaged_blobs_are_refused) {
  state s;
  enrol(s, 1, 1);
  ASSERT_EQ(act(s, nexus(1), ask(service_action::reserve, 1, 0, 1)), verdict::good);
  const std::string blob = serialise(s);
  for (std::size_t i = 0; i < blob.size(); ++i) {
    std::string damaged = blob;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(parse(damaged).has_value()) << i;
    EXPECT_FALSE(parse(blob.substr(0, i)).has_value()) << i;
  }
}

}  // namespace
}  // namespace sluice::reservations
