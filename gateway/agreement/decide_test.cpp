#include "gateway/agreement/decide.hpp"

#include <gtest/gtest.h>

#include "actors/wire/big_endian.hpp"
#include "gateway/scsi/asc.hpp"

namespace sluice::agreement {
namespace {

using octets = std::vector<std::uint8_t>;

scsi::unit_facts small_unit() {
  scsi::unit_facts f;
  f.capacity_blocks = 64;
  return f;
}
const scsi::unit_facts facts = small_unit();

reservations::i_t host(char name, std::uint16_t port = 1) {
  return {{scsi::protocol::iscsi, std::string("iqn.2026-11.org.example:") + name, "0x000000000001"}, port};
}
agreed alone(gateway_id gateway = 0) {
  return *decide({}, join{gateway, 1, std::string(32, 'a'), {{.number = 1, .ports = {1, 2}}}}, facts).next;
}

decision pr_out(const agreed& now, char name, std::uint64_t nexus, std::uint8_t action, std::uint64_t key,
                std::uint64_t action_key, std::uint8_t type = 0, std::uint8_t flags = 0) {
  octets cdb(10), list(24);
  cdb[0] = 0x5f;
  cdb[1] = action;
  cdb[2] = type;
  wire::store32(cdb, 5, 24);
  wire::store64(list, 0, key);
  wire::store64(list, 8, action_key);
  list[20] = flags;
  return decide(now, command{nexus, 7, host(name), cdb, list}, facts);
}
decision plain(const agreed& now, std::uint64_t nexus, octets cdb) {
  return decide(now, command{nexus, 7, host('a'), cdb, {}}, facts);
}

TEST(decide, what_changes_nothing_has_no_next_state) {
  const agreed now = alone();
  EXPECT_FALSE(pr_out(now, 'a', 1, 0, 0, 0).next);
  const decision refused = pr_out(now, 'a', 1, 1, 5, 0, 1);
  EXPECT_FALSE(refused.next);
  EXPECT_EQ(refused.outcome.status, scsi::status::reservation_conflict);
  EXPECT_FALSE(decide(now, nexus_loss{9}, facts).next);
  EXPECT_FALSE(decide(now, leave{3, 1}, facts).next);
  EXPECT_FALSE(plain(now, 1, {0x17, 0, 0, 0, 0, 0}).next);
}

TEST(decide, epochs_grow_by_one_and_the_state_before_stays) {
  const agreed now = alone();
  const decision d = pr_out(now, 'a', 1, 0, 0, 0xa);
  ASSERT_TRUE(d.next);
  EXPECT_EQ(d.next->epoch, now.epoch + 1);
  EXPECT_TRUE(now.reservations.registrants.empty());
  EXPECT_EQ(*d.next, *pr_out(now, 'a', 1, 0, 0, 0xa).next) << "the same again";
}

TEST(decide, reserved_power_conditions_are_refused) {
  for (unsigned condition = 0; condition < 16; ++condition) {
    const decision d = plain(alone(), 1, {0x1b, 0, 0, 0, static_cast<std::uint8_t>(condition << 4 | 1), 0});
    const bool known = condition <= 3 || condition == 7 || condition == 0xa || condition == 0xb;
    EXPECT_EQ(d.outcome.status == scsi::status::good, known) << condition;
  }
}

/// REGISTER AND MOVE names one port: an iSCSI name without ISID does when one port of it is known, and no more.
TEST(decide, a_reservation_moves_to_a_name_that_stands_for_one_port) {
  agreed now = *pr_out(alone(), 'a', 1, 0, 0, 0xa).next;
  now = *pr_out(now, 'a', 1, 1, 0xa, 0, 1).next;
  scsi::transport_id name = host('b').initiator, other_port = name;
  name.extension.clear();
  other_port.extension = "0x000000000002";
  octets cdb(10), list(24);
  cdb[0] = 0x5f;
  cdb[1] = 7;
  wire::store64(list, 0, 0xa);
  wire::store64(list, 8, 0xb);
  wire::store16(list, 18, 1);
  const octets id = scsi::encode(name);
  wire::store32(list, 20, id.size());
  list.insert(list.end(), id.begin(), id.end());
  wire::store32(cdb, 5, list.size());
  const auto move = [&](std::vector<scsi::transport_id> known) {
    return decide(now, command{1, 7, host('a'), cdb, list, known}, facts);
  };
  EXPECT_EQ(move({}).outcome.sense.code, scsi::asc::invalid_field_in_parameter_list);
  EXPECT_EQ(move({host('b').initiator, other_port}).outcome.sense.code, scsi::asc::invalid_field_in_parameter_list);
  const decision moved = move({host('b').initiator, host('c').initiator});
  ASSERT_TRUE(moved.next);
  EXPECT_EQ(moved.next->reservations.holder, host('b'));
}

TEST(decide, only_what_survives_power_loss_must_last) {
  agreed now = alone();
  EXPECT_FALSE(pr_out(now, 'a', 1, 0, 0, 0xa).lasts);
  const decision kept = pr_out(now, 'a', 1, 0, 0, 0xa, 0, 1);
  EXPECT_TRUE(kept.lasts);
  EXPECT_TRUE(pr_out(*kept.next, 'a', 1, 0, 0xa, 0xb, 0, 0).lasts) << "APTPL is taken back";
  EXPECT_TRUE(pr_out(*kept.next, 'a', 1, 1, 0xa, 0, 5).lasts);
  EXPECT_FALSE(plain(now, 1, {0x16, 0, 0, 0, 0, 0}).lasts);
  EXPECT_FALSE(decide(now, reset{1, 7, port::task_function::logical_unit_reset}, facts).lasts);
  octets list(16);
  list[4] = list[5] = 0x0a;
  list[6] = 0x02;
  list[7] = 0x10;
  list[9] = 0x40;
  for (const bool saves : {false, true}) {
    const octets cdb{0x15, static_cast<std::uint8_t>(saves ? 0x11 : 0x10), 0, 0, 16, 0};
    const decision d = decide(now, command{1, 7, host('a'), cdb, list}, facts);
    ASSERT_TRUE(d.next);
    EXPECT_EQ(d.lasts, saves);
    EXPECT_EQ(d.next->saved_mode.has_value(), saves);
  }
}

TEST(decide, a_start_without_others_is_a_loss_of_power) {
  agreed now = *pr_out(alone(), 'a', 1, 0, 0, 0xa, 0, 1).next;
  now = *pr_out(now, 'b', 2, 0, 0, 0xb, 0, 1).next;
  now = *pr_out(now, 'a', 1, 1, 0xa, 0, 5).next;
  now.stopped = true;
  now.prevents_removal = {2};
  const agreed again = *decide(now, join{0, 2, {}, {}}, facts).next;
  EXPECT_EQ(again.reservations.registrants, now.reservations.registrants);
  EXPECT_EQ(again.reservations.type, now.reservations.type);
  EXPECT_EQ(again.reservations.generation, 0u);
  EXPECT_FALSE(again.stopped);
  EXPECT_TRUE(again.prevents_removal.empty());
  EXPECT_EQ(again.serial, now.serial);
  now = *pr_out(now, 'b', 2, 0, 0xb, 0xc, 0, 0).next;  // without APTPL
  EXPECT_TRUE(decide(now, join{0, 3, {}, {}}, facts).next->reservations.registrants.empty());
}

TEST(decide, a_unit_that_takes_the_place_keeps_what_is_reserved_persistently) {
  agreed now = *pr_out(alone(), 'a', 1, 0, 0, 0xa).next;
  now.stopped = true;
  const agreed next = *decide(now, join{0, 2, {}, {}, true}, facts).next;
  EXPECT_EQ(next.reservations, now.reservations);
  EXPECT_FALSE(next.stopped);
  const agreed back = *decide(next, resume{0, 1, now}, facts).next;
  EXPECT_TRUE(back.stopped);
  EXPECT_EQ(back.members.at(0), 1u);
}

TEST(decide, a_gateway_that_joins_anew_or_is_gone_loses_what_its_nexuses_held) {
  agreed now = alone(1);
  now = *decide(now, join{2, 5, {}, {{.number = 2, .ports = {3}}}}, facts).next;
  const std::uint64_t of_two = global_id(2, 1);
  now = *plain(now, of_two, {0x16, 0, 0, 0, 0, 0}).next;
  now.prevents_removal = {global_id(1, 4), of_two};
  EXPECT_EQ(now.reserve_holder, of_two);
  for (const change& what : {change(join{2, 6, {}, {}}), change(leave{2, 5})}) {
    const agreed after = *decide(now, what, facts).next;
    EXPECT_EQ(after.reserve_holder, 0u);
    EXPECT_EQ(after.prevents_removal, std::vector{global_id(1, 4)});
  }
  EXPECT_FALSE(decide(now, leave{2, 4}, facts).next) << "an earlier stay";
  EXPECT_EQ(target_ports_of(now), (std::vector<std::uint16_t>{1, 2, 3}));
  EXPECT_EQ(groups_of(now).size(), 2u);
  EXPECT_EQ(groups_of(*decide(now, leave{2, 5}, facts).next).size(), 1u);
}

join sharing(gateway_id gateway, std::uint64_t incarnation) {
  return {gateway, incarnation, std::string(32, 'a'), {{.number = gateway, .ports = {gateway}}}, false, true};
}
using scsi::asymmetric_access;

TEST(decide, a_shared_unit_has_the_owner_that_claims_it) {
  agreed now = *decide({}, sharing(1, 10), facts).next;
  ASSERT_TRUE(now.owned);
  EXPECT_EQ(now.owned->owner, 0);
  EXPECT_EQ(access_through(now, 1), asymmetric_access::transitioning);
  EXPECT_FALSE(decide(now, claim{1, 9, now.owned->epoch}, facts).next) << "an earlier stay";
  EXPECT_FALSE(decide(now, claim{1, 10, now.owned->epoch - 1}, facts).next) << "it found another epoch";
  const decision claimed = decide(now, claim{1, 10, now.owned->epoch}, facts);
  now = *claimed.next;
  ASSERT_EQ(claimed.attentions.size(), 1u);
  EXPECT_EQ(claimed.attentions[0].code, scsi::asc::asymmetric_access_changed);
  now = *decide(now, sharing(2, 20), facts).next;
  EXPECT_EQ(now.owned->owner, 1) << "who comes later changes nothing";
  EXPECT_EQ(access_through(now, 1), asymmetric_access::active_optimized);
  EXPECT_EQ(access_through(now, 2), asymmetric_access::standby);
  const auto groups = groups_of(now);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].state, asymmetric_access::active_optimized);
  EXPECT_EQ(groups[1].state, asymmetric_access::standby);
  EXPECT_FALSE(decide(now, claim{2, 20, now.owned->epoch}, facts).next) << "it is owned";
}

TEST(decide, a_shared_unit_is_nobodys_when_its_owner_is_gone_or_joins_anew) {
  agreed now = *decide({}, sharing(1, 10), facts).next;
  now = *decide(now, claim{1, 10, now.owned->epoch}, facts).next;
  now = *decide(now, sharing(2, 20), facts).next;
  for (const change& what : {change(leave{1, 10}), change(sharing(1, 11))}) {
    const agreed free = *decide(now, what, facts).next;
    EXPECT_EQ(free.owned->owner, 0);
    EXPECT_EQ(free.owned->epoch, free.epoch);
    EXPECT_EQ(decide(free, claim{2, 20, free.epoch}, facts).next->owned->owner, 2);
  }
  EXPECT_EQ(decide(now, leave{2, 20}, facts).next->owned->owner, 1);
}

TEST(decide, a_shared_unit_moves_to_the_heir_alone) {
  agreed now = *decide({}, sharing(1, 10), facts).next;
  now = *decide(now, claim{1, 10, now.owned->epoch}, facts).next;
  for (const gateway_id each : {gateway_id{2}, gateway_id{3}})
    now = *decide(now, sharing(each, each * 10u), facts).next;
  EXPECT_FALSE(decide(now, move{1}, facts).next) << "it is there";
  EXPECT_FALSE(decide(now, move{4}, facts).next) << "no member";
  const decision moved = decide(now, move{3}, facts);
  ASSERT_EQ(moved.aborts.size(), 1u);
  EXPECT_EQ(moved.aborts[0].manner, abort_manner::busy);
  now = *moved.next;
  EXPECT_FALSE(decide(now, claim{2, 20, now.epoch}, facts).next) << "not the heir";
  EXPECT_EQ(decide(now, claim{3, 30, now.epoch}, facts).next->owned, (ownership{3, 0, now.epoch + 1}));
  const agreed without = *decide(now, leave{3, 30}, facts).next;
  EXPECT_EQ(decide(without, claim{2, 20, without.owned->epoch}, facts).next->owned->owner, 2) << "whoever comes first";
}

/// States for groups, by number.
decision set_groups(const agreed& now, const std::vector<std::pair<std::uint8_t, asymmetric_access>>& wanted) {
  octets cdb{0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, list(4);
  for (const auto& [group, state] : wanted) list.insert(list.end(), {static_cast<std::uint8_t>(state), 0, 0, group});
  wire::store32(cdb, 6, static_cast<std::uint32_t>(list.size()));
  return decide(now, command{1, 7, host('a'), cdb, list}, facts);
}

TEST(decide, a_host_chooses_the_owner_by_the_states_of_target_port_groups) {
  agreed now = *decide({}, sharing(1, 10), facts).next;
  now = *decide(now, claim{1, 10, now.owned->epoch}, facts).next;
  now = *decide(now, sharing(2, 20), facts).next;
  const auto optimized = asymmetric_access::active_optimized;
  for (const auto& wanted : {std::vector{std::pair{std::uint8_t{2}, optimized}},
                             {{1, asymmetric_access::standby}, {2, optimized}},
                             {{2, optimized}, {1, asymmetric_access::standby}}}) {
    const decision d = set_groups(now, wanted);
    EXPECT_FALSE(d.next);
    EXPECT_EQ(d.moves_to, 2);
    EXPECT_EQ(d.outcome.status, scsi::status::good);
  }
  for (const auto& as_it_is : {std::vector<std::pair<std::uint8_t, asymmetric_access>>{},
                               {{1, optimized}},
                               {{1, optimized}, {2, asymmetric_access::standby}}}) {
    const decision d = set_groups(now, as_it_is);
    EXPECT_EQ(d.moves_to, 0);
    EXPECT_EQ(d.outcome.status, scsi::status::good);
  }
}

TEST(decide, what_target_port_groups_cannot_be_is_refused_at_its_place) {
  agreed now = *decide({}, sharing(1, 10), facts).next;
  now = *decide(now, claim{1, 10, now.owned->epoch}, facts).next;
  now = *decide(now, sharing(2, 20), facts).next;
  const auto optimized = asymmetric_access::active_optimized;
  const auto place = [&](const std::vector<std::pair<std::uint8_t, asymmetric_access>>& wanted) {
    const decision d = set_groups(now, wanted);
    EXPECT_EQ(d.moves_to, 0);
    EXPECT_EQ(d.outcome.sense.code, scsi::asc::invalid_field_in_parameter_list);
    return d.outcome.sense.field_byte;
  };
  EXPECT_EQ(place({{1, optimized}, {3, optimized}}), 10) << "there is no such group";
  EXPECT_EQ(place({{1, optimized}, {2, optimized}}), 4) << "one gateway owns the unit";
  EXPECT_EQ(place({{1, asymmetric_access::standby}}), 4) << "somebody owns it";
  EXPECT_EQ(place({{2, asymmetric_access::unavailable}}), 4) << "not for a host to say";
  now.owned.reset();
  EXPECT_EQ(set_groups(now, {{1, optimized}}).outcome.status, scsi::status::good)
      << "all groups of a unit of its own are";
  EXPECT_EQ(place({{1, asymmetric_access::standby}}), 4);
}

TEST(decide, others_learn_of_each_epoch_and_of_what_it_does) {
  agreed now = alone(1);
  EXPECT_EQ(now.events.size(), 1u) << "there are no others";
  now = *decide(now, join{2, 5, {}, {}}, facts).next;
  now = *pr_out(now, 'a', 10, 0, 0, 0xa).next;
  now = *pr_out(now, 'b', 11, 0, 0, 0xb).next;
  const decision d = pr_out(now, 'a', 10, 5, 0xa, 0xb, 1);
  ASSERT_TRUE(d.next);
  const event& last = d.next->events.back();
  EXPECT_EQ(last.epoch, d.next->epoch);
  EXPECT_EQ(last.nexus, 10u);
  EXPECT_EQ(last.request, 7u);
  EXPECT_EQ(last.attentions, d.attentions);
  EXPECT_EQ(last.aborts, d.aborts);
  ASSERT_EQ(d.aborts.size(), 1u);
  EXPECT_EQ(d.aborts[0].whom.only, host('b'));
  for (std::size_t i = 1; i < d.next->events.size(); ++i)
    EXPECT_EQ(d.next->events[i].epoch, d.next->events[i - 1].epoch + 1);
  EXPECT_EQ(decide(now, leave{2, 5}, facts).next->events.size(), 1u);
}

TEST(decide, keeps_a_bounded_number_of_events) {
  agreed now = *decide(alone(1), join{2, 5, {}, {}}, facts).next;
  for (std::size_t i = 0; i < 3 * max_events; ++i)
    now = *decide(now, reset{1, i + 1, port::task_function::logical_unit_reset}, facts).next;
  EXPECT_EQ(now.events.size(), max_events);
  EXPECT_EQ(now.events.back().epoch, now.epoch);
  now.events.back().attentions.resize(max_orders);
  now = *decide(now, reset{1, 1, port::task_function::logical_unit_reset}, facts).next;
  EXPECT_EQ(now.events.size(), 1u);
}

}  // namespace
}  // namespace sluice::agreement
