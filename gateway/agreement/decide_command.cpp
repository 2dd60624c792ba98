#include "gateway/agreement/decide_command.hpp"

#include <algorithm>
#include <iterator>
#include <set>

#include "gateway/reservations/conflicts.hpp"
#include "gateway/reservations/machine.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/scsi/parameter_lists.hpp"

// Commands that change what is agreed.
namespace sluice::agreement {

namespace outcomes = scsi::outcomes;

namespace {

/// Nothing changes.
decision refuse(const scsi::outcome& why) {
  decision d;
  d.outcome = why;
  return d;
}
decision no_change() {
  return refuse(outcomes::good());
}
decision change_from(const agreed& now) {
  decision d;
  d.next = now;
  d.outcome = outcomes::good();
  return d;
}

/// The initiator ports that TransportIDs name. One without an ISID stands for all known ports of its iSCSI name [SPC-4
/// 7.6.4.6], which must be some: else somebody would be registered who can never come.
std::vector<scsi::transport_id> ports_of(const std::vector<scsi::transport_id>& named, const agreed& now,
                                         const command& asked_by) {
  std::set<scsi::transport_id> known(asked_by.known.begin(), asked_by.known.end());
  for (const reservations::registrant& r : now.reservations.registrants) known.insert(r.who.initiator);
  std::vector<scsi::transport_id> ports;
  for (const scsi::transport_id& id : named) {
    if (id.protocol != scsi::protocol::iscsi || !id.extension.empty()) {
      ports.push_back(id);
      continue;
    }
    const std::size_t before = ports.size();
    std::copy_if(known.begin(), known.end(), std::back_inserter(ports),
                 [&](const scsi::transport_id& port) { return port.protocol == id.protocol && port.name == id.name; });
    if (ports.size() == before) return {};
  }
  return ports;
}

/// The two forms of the PERSISTENT RESERVE OUT parameter list as one request.
scsi::or_outcome<reservations::request> decode_request(const agreed& now, const command& asked_by) {
  constexpr std::uint16_t first_id_to_move = 24, first_id = 28;
  const scsi::pr_out_cdb cdb = scsi::decode_pr_out(asked_by.cdb);
  reservations::request asked;
  asked.action = static_cast<reservations::service_action>(cdb.action);
  asked.scope = cdb.scope;
  asked.type = cdb.type;
  if (cdb.action == scsi::pr_out_action::register_and_move) {
    const auto list = scsi::parse_pr_move(asked_by.parameters);
    if (!list) return tl::unexpected<scsi::outcome>(list.error());
    asked.key = list->reservation_key;
    asked.action_key = list->service_action_key;
    asked.unregister = list->unregister;
    asked.aptpl = list->aptpl;
    asked.move_target_port = list->relative_target_port;
    asked.initiators = ports_of({list->destination}, now, asked_by);
    if (asked.initiators.size() != 1)
      return tl::unexpected(outcomes::invalid_field_in_parameter_list(first_id_to_move));
    return asked;
  }
  const auto list = scsi::parse_pr_out(cdb.action, asked_by.parameters);
  if (!list) return tl::unexpected<scsi::outcome>(list.error());
  asked.key = list->reservation_key;
  asked.action_key = list->service_action_key;
  asked.spec_i_pt = list->spec_i_pt;
  asked.all_tg_pt = list->all_tg_pt;
  asked.aptpl = list->aptpl;
  asked.initiators = ports_of(list->initiators, now, asked_by);
  if (asked.initiators.empty() && !list->initiators.empty())
    return tl::unexpected(outcomes::invalid_field_in_parameter_list(first_id));
  return asked;
}

scsi::outcome outcome_of(const reservations::effects& effects) {
  using reservations::verdict;
  switch (effects.verdict) {
    case verdict::good:
      return outcomes::good();
    case verdict::conflict:
      return outcomes::reservation_conflict();
    case verdict::invalid_field_in_cdb:
      return outcomes::invalid_field_in_cdb(effects.field_byte);
    case verdict::invalid_field_in_parameter_list:
      return outcomes::invalid_field_in_parameter_list(effects.field_byte);
    case verdict::parameter_list_length_error:
      return outcomes::parameter_list_length_error();
    case verdict::invalid_release:
      return outcomes::invalid_release();
    case verdict::insufficient_resources:
      return outcomes::insufficient_registration_resources();
  }
  return outcomes::hardware_error();
}

decision persistent_reserve_out(const agreed& now, const command& c) {
  if (now.reserve_holder != 0) return refuse(outcomes::reservation_conflict());  // [SPC-2 5.5.1]
  const auto asked = decode_request(now, c);
  if (!asked) return refuse(asked.error());
  decision d = change_from(now);
  const reservations::effects effects =
      reservations::execute(d.next->reservations, c.who, *asked, target_ports_of(now));
  if (!effects.changed) return refuse(outcome_of(effects));
  for (const reservations::attention& a : effects.attentions) d.attentions.push_back({{.only = a.who}, a.code});
  for (const reservations::i_t& who : effects.aborts) {
    abort_order order;
    order.whom.only = who;
    order.manner = abort_manner::by_other;
    order.reason = port::silence::preempted;
    order.asking_nexus = c.nexus;
    order.asking_request = c.request;
    d.aborts.push_back(order);
  }
  return d;
}

decision reserve_or_release(const agreed& now, const command& c, bool reserves) {
  std::uint64_t holder = now.reserve_holder;
  const auto act = reserves ? reservations::reserve : reservations::release;
  if (!act(now.reservations, c.who, c.nexus, holder)) return refuse(outcomes::reservation_conflict());
  if (holder == now.reserve_holder) return no_change();
  decision d = change_from(now);
  d.next->reserve_holder = holder;
  return d;
}

decision mode_select(const agreed& now, const command& c, const scsi::opcode_row& row, const scsi::unit_facts& facts) {
  const scsi::mode_select_cdb cdb = scsi::decode_mode_select(row, c.cdb);
  const auto selected = scsi::apply_mode_select(cdb, c.parameters, facts, now.mode, true);
  if (!selected) return refuse(selected.error());
  const bool changes = *selected != now.mode;
  const bool saves = cdb.save && *selected != now.saved_mode.value_or(scsi::default_mode_state(facts));
  if (!changes && !saves) return no_change();
  decision d = change_from(now);
  d.next->mode = *selected;
  if (saves) d.next->saved_mode = *selected;
  if (changes) d.attentions.push_back({{.only = {}, .except_nexus = c.nexus}, scsi::asc::mode_parameters_changed});
  return d;
}

/// [SBC-3 5.25] The shard has flushed the medium.
decision start_stop(const agreed& now, const command& c) {
  const scsi::start_stop_cdb cdb = scsi::decode_start_stop(c.cdb);
  switch (cdb.power_condition) {
    case 0x0:  // START_VALID
      break;
    case 0x1:  // ACTIVE, IDLE, STANDBY, LU_CONTROL, FORCE_IDLE_0, FORCE_STANDBY_0: no power to save
    case 0x2:
    case 0x3:
    case 0x7:
    case 0xa:
    case 0xb:
      return no_change();
    default:
      return refuse(outcomes::invalid_field_in_cdb(4, 7));
  }
  if (cdb.load_eject && !cdb.start && !now.prevents_removal.empty())
    return refuse(outcomes::check(scsi::sense_key::illegal_request, scsi::asc::removal_prevented));
  if (now.stopped == !cdb.start) return no_change();
  decision d = change_from(now);
  d.next->stopped = !cdb.start;
  return d;
}

/// [SBC-3 5.13]
decision prevent_allow(const agreed& now, const command& c) {
  const bool prevents = scsi::decode_prevent(c.cdb);
  const auto& those = now.prevents_removal;
  const bool prevented = std::find(those.begin(), those.end(), c.nexus) != those.end();
  if (prevents == prevented) return no_change();
  decision d = change_from(now);
  std::erase(d.next->prevents_removal, c.nexus);
  if (prevents) d.next->prevents_removal.push_back(c.nexus);
  return d;
}

/// [SPC-4 6.45] Hosts choose which gateway owns the unit: its groups are optimized. What the groups of the others are
/// is not theirs to choose.
decision set_target_port_groups(const agreed& now, const command& c) {
  const auto list = scsi::parse_wanted_groups(c.parameters);
  if (!list) return refuse(list.error());
  const auto bad_field = [](std::size_t octet) {
    return refuse(outcomes::invalid_field_in_parameter_list(static_cast<std::uint16_t>(octet)));
  };
  const auto gateway_of = [&](std::uint16_t group) {
    for (const auto& [gateway, groups] : now.ports)
      for (const scsi::target_port_group& each : groups)
        if (each.number == group) return gateway;
    return gateway_id{0};
  };
  agreed wanted = now;
  for (const scsi::wanted_group& each : *list) {
    const gateway_id gateway = gateway_of(each.number);
    if (gateway == 0) return bad_field(each.at + 2);
    if (now.owned && each.state == scsi::asymmetric_access::active_optimized) wanted.owned->owner = gateway;
  }
  const std::vector<scsi::target_port_group> groups = groups_of(wanted);
  for (const scsi::wanted_group& each : *list)
    if (std::none_of(groups.begin(), groups.end(), [&](const scsi::target_port_group& group) {
          return group.number == each.number && group.state == each.state;
        }))
      return bad_field(each.at);
  decision d = no_change();
  if (wanted.owned != now.owned) d.moves_to = wanted.owned->owner;
  return d;
}

}  // namespace

decision decide_command(const agreed& now, const command& c, const scsi::unit_facts& facts) {
  const auto row = scsi::check_cdb(c.cdb, facts);
  if (!row) return refuse(row.error());
  switch ((*row)->what) {
    case scsi::command::persistent_reserve_out:
      return persistent_reserve_out(now, c);
    case scsi::command::reserve:
      return reserve_or_release(now, c, true);
    case scsi::command::release:
      return reserve_or_release(now, c, false);
    case scsi::command::mode_select:
      return mode_select(now, c, **row, facts);
    case scsi::command::start_stop_unit:
      return start_stop(now, c);
    case scsi::command::prevent_allow_medium_removal:
      return prevent_allow(now, c);
    case scsi::command::set_target_port_groups:
      return set_target_port_groups(now, c);
    default:
      return refuse(outcomes::invalid_opcode());
  }
}

}  // namespace sluice::agreement
