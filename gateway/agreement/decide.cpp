#include "gateway/agreement/decide.hpp"

#include <algorithm>

#include "gateway/agreement/decide_command.hpp"
#include "gateway/reservations/machine.hpp"
#include "gateway/scsi/asc.hpp"

namespace sluice::agreement {

namespace {

decision start_from(const agreed& now) {
  decision d;
  d.next = now;
  return d;
}

/// [SAM-5 7.4, 7.7, 6.3.3]
decision decide_one(const agreed& now, const reset& wanted, const scsi::unit_facts& facts) {
  decision d = start_from(now);
  abort_order order;
  order.manner = abort_manner::by_other;  // [SAM-5 5.6]
  order.asking_nexus = wanted.nexus;
  if (wanted.function == port::task_function::clear_task_set) {
    order.reason = port::silence::cleared;
    order.attention = scsi::asc::commands_cleared;
  } else {
    d.next->reserve_holder = 0;
    d.next->prevents_removal.clear();
    d.next->stopped = false;
    d.next->mode = now.saved_mode.value_or(scsi::default_mode_state(facts));
    d.attentions.push_back({{}, scsi::asc::bus_device_reset});
  }
  d.aborts.push_back(order);
  return d;
}

decision decide_one(const agreed& now, const nexus_loss& wanted, const scsi::unit_facts&) {
  const auto& prevents = now.prevents_removal;
  const bool prevented = std::find(prevents.begin(), prevents.end(), wanted.nexus) != prevents.end();
  if (now.reserve_holder != wanted.nexus && !prevented) return {};
  decision d = start_from(now);
  if (d.next->reserve_holder == wanted.nexus) d.next->reserve_holder = 0;
  std::erase(d.next->prevents_removal, wanted.nexus);
  return d;
}

decision decide_one(const agreed& now, const port_groups& wanted, const scsi::unit_facts&) {
  decision d = start_from(now);
  d.next->ports[wanted.gateway] = wanted.groups;
  d.attentions.push_back({{}, scsi::asc::asymmetric_access_changed});
  return d;
}

decision decide_one(const agreed& now, const clear_reservations&, const scsi::unit_facts&) {
  decision d = start_from(now);
  const reservations::effects effects = reservations::clear_by_operator(d.next->reservations);
  d.next->reserve_holder = 0;
  for (const reservations::attention& a : effects.attentions) d.attentions.push_back({{.only = a.who}, a.code});
  return d;
}

/// What only the gateway's nexuses had a use for.
void drop_nexuses_of(agreed& now, gateway_id gateway) {
  if (now.reserve_holder != 0 && gateway_of(now.reserve_holder) == gateway) now.reserve_holder = 0;
  std::erase_if(now.prevents_removal, [&](std::uint64_t nexus) { return gateway_of(nexus) == gateway; });
}

bool has_others(const agreed& now, gateway_id gateway) {
  return now.members.size() > now.members.count(gateway);
}

/// `epoch` is that of the change.
void give_up(decision& d, std::uint64_t epoch, gateway_id heir) {
  d.next->owned = ownership{0, heir, epoch};
  d.attentions.push_back({{}, scsi::asc::asymmetric_access_changed});
}

bool is_member(const agreed& now, gateway_id gateway) {
  return gateway != 0 && now.members.contains(gateway);
}

decision decide_one(const agreed& now, const join& wanted, const scsi::unit_facts& facts) {
  decision d = start_from(now);
  agreed& next = *d.next;
  // A former stay of this gateway owns it no longer, nor does one that is no member.
  const bool free = !now.owned || !is_member(now, now.owned->owner) || now.owned->owner == wanted.gateway;
  if (!wanted.shares)
    next.owned.reset();
  else if (free && !wanted.replaces)
    give_up(d, now.epoch + 1, 0);
  drop_nexuses_of(next, wanted.gateway);
  if (!has_others(now, wanted.gateway)) {
    const bool lasts = next.reservations.aptpl && !next.reservations.registrants.empty();
    if (!wanted.replaces) {
      if (!lasts) next.reservations = {};
      next.reservations.generation = 0;  // [SPC-4 6.15.2]
    }
    next.reserve_holder = 0;
    next.prevents_removal.clear();
    next.stopped = false;
    next.mode = next.saved_mode.value_or(scsi::default_mode_state(facts));
    next.ports.clear();
  }
  if (next.serial.empty()) next.serial = wanted.serial;
  next.members[wanted.gateway] = wanted.incarnation;
  next.ports[wanted.gateway] = wanted.groups;
  return d;
}

decision decide_one(const agreed& now, const resume& wanted, const scsi::unit_facts&) {
  decision d = start_from(now);
  agreed& next = *d.next;
  next.members[wanted.gateway] = wanted.incarnation;
  next.mode = wanted.remembered.mode;
  next.reserve_holder = wanted.remembered.reserve_holder;
  next.stopped = wanted.remembered.stopped;
  next.prevents_removal = wanted.remembered.prevents_removal;
  next.ports[wanted.gateway] = {};
  if (const auto mine = wanted.remembered.ports.find(wanted.gateway); mine != wanted.remembered.ports.end())
    next.ports[wanted.gateway] = mine->second;
  return d;
}

decision decide_one(const agreed& now, const leave& wanted, const scsi::unit_facts&) {
  const auto member = now.members.find(wanted.gateway);
  if (member == now.members.end() || member->second != wanted.incarnation) return {};
  decision d = start_from(now);
  drop_nexuses_of(*d.next, wanted.gateway);
  d.next->members.erase(wanted.gateway);
  d.next->ports.erase(wanted.gateway);
  if (!now.owned) return d;
  if (now.owned->owner == wanted.gateway) give_up(d, now.epoch + 1, 0);
  if (now.owned->heir == wanted.gateway) d.next->owned->heir = 0;
  return d;
}

decision decide_one(const agreed& now, const claim& wanted, const scsi::unit_facts&) {
  const auto member = now.members.find(wanted.gateway);
  const bool is_its = member != now.members.end() && member->second == wanted.incarnation;
  if (!is_its || !now.owned || now.owned->owner != 0 || now.owned->epoch != wanted.given_up) return {};
  if (is_member(now, now.owned->heir) && now.owned->heir != wanted.gateway) return {};
  decision d = start_from(now);
  d.next->owned = ownership{wanted.gateway, 0, now.epoch + 1};
  d.attentions.push_back({{}, scsi::asc::asymmetric_access_changed});
  return d;
}

decision decide_one(const agreed& now, const move& wanted, const scsi::unit_facts&) {
  if (!now.owned || !is_member(now, wanted.to) || now.owned->owner == wanted.to) return {};
  decision d = start_from(now);
  give_up(d, now.epoch + 1, wanted.to);
  abort_order all;
  all.manner = abort_manner::busy;
  d.aborts.push_back(all);
  return d;
}

decision decide_one(const agreed& now, const cut& wanted, const scsi::unit_facts&) {
  decision d = start_from(now);
  abort_order all;
  all.manner = abort_manner::relayed;
  all.reason = port::silence::transport_abort;
  all.asking_nexus = global_id(wanted.relays, 0);
  d.aborts.push_back(all);
  return d;
}

std::size_t orders_in(const event& each) {
  return each.attentions.size() + each.aborts.size();
}

/// Others apply the orders when they take the epoch in. Who is alone tells nobody: the newest event only says what the
/// epoch was for.
void append_event(decision& d, std::uint64_t nexus, std::uint64_t request) {
  agreed& next = *d.next;
  if (next.members.size() < 2) next.events.clear();
  next.events.push_back({next.epoch, nexus, request, d.attentions, d.aborts});
  std::size_t orders = 0, kept = 0;
  for (auto it = next.events.rbegin(); it != next.events.rend() && kept < max_events; ++it, ++kept) {
    orders += orders_in(*it);
    if (kept > 0 && orders > max_orders) break;
  }
  next.events.erase(next.events.begin(), next.events.end() - static_cast<std::ptrdiff_t>(kept));
}

}  // namespace

decision decide(const agreed& now, const change& wanted, const scsi::unit_facts& facts) {
  decision d = std::visit(
      [&](const auto& what) {
        if constexpr (std::is_same_v<std::decay_t<decltype(what)>, command>)
          return decide_command(now, what, facts);
        else
          return decide_one(now, what, facts);
      },
      wanted);
  if (!d.next) return d;
  d.next->epoch = now.epoch + 1;
  d.lasts = lasting_part(*d.next) != lasting_part(now);
  std::uint64_t nexus = 0, request = 0;
  if (const auto* asked = std::get_if<command>(&wanted)) nexus = asked->nexus, request = asked->request;
  if (const auto* asked = std::get_if<reset>(&wanted)) nexus = asked->nexus, request = asked->request;
  append_event(d, nexus, request);
  return d;
}

}  // namespace sluice::agreement
