#include "gateway/reservations/machine.hpp"

#include <algorithm>

#include "gateway/scsi/asc.hpp"

namespace sluice::reservations {
namespace {

// Octets of the CDB and of the parameter list that sense data points at [SPC-4 6.16.1, 6.16.3, 6.16.4].
constexpr std::uint16_t cdb_service_action = 1;
constexpr std::uint16_t cdb_scope_and_type = 2;
constexpr std::uint16_t list_action_key = 8;
constexpr std::uint16_t list_move_target_port = 18;
constexpr std::uint16_t list_flags = 20;
constexpr std::uint16_t list_transport_id = 24;

/// One command at work on a copy of the state, which replaces the state only when the verdict is good.
class execution {
 public:
  execution(const state& before, const i_t& who, const request& asked, const std::vector<std::uint16_t>& target_ports)
      : after(before), who_(who), asked_(asked), target_ports_(target_ports) {}

  void run() {
    switch (asked_.action) {
      case service_action::register_key:
        return register_key();
      case service_action::register_and_ignore:
        return register_and_ignore();
      case service_action::register_and_move:
        return register_and_move();
      case service_action::reserve:
        return reserve();
      case service_action::release:
        return release();
      case service_action::clear:
        return clear();
      case service_action::preempt:
      case service_action::preempt_and_abort:
        return preempt();
    }
    refuse(verdict::invalid_field_in_cdb, cdb_service_action);
  }

  state after;
  effects done;

 private:
  void refuse(verdict why, std::uint16_t octet = 0) {
    done.verdict = why;
    done.field_byte = octet;
  }

  /// The nexus is registered with the key that it gave; otherwise the command ends with RESERVATION CONFLICT.
  bool knows_its_key() {
    const registrant* self = after.find(who_);
    if (self && self->key == asked_.key) return true;
    refuse(verdict::conflict);
    return false;
  }

  bool scope_and_type_are_valid() {
    if (asked_.scope == 0 && is_type(asked_.type)) return true;
    refuse(verdict::invalid_field_in_cdb, cdb_scope_and_type);
    return false;
  }

  void tell(const i_t& whom, scsi::additional_sense code) {
    if (whom != who_) done.attentions.push_back({whom, code});
  }
  void tell_registrants(scsi::additional_sense code) {
    for (const registrant& r : after.registrants) tell(r.who, code);
  }

  void drop_reservation() {
    after.type = type::none;
    after.holder.reset();
  }

  void set_key(const i_t& whom, std::uint64_t key) {
    for (registrant& r : after.registrants) {
      if (r.who != whom) continue;
      r.key = key;
      return;
    }
    after.registrants.push_back({whom, key});
  }

  void changed_registrations() {
    ++after.generation;
    done.changed = true;
  }

  // -- REGISTER [SPC-4 5.12.7] ---------------------------------------------------------------------------------
  void register_key() {
    const registrant* self = after.find(who_);
    if (asked_.key != (self ? self->key : 0)) return refuse(verdict::conflict);
    if (asked_.spec_i_pt && (self || asked_.action_key == 0))
      return refuse(verdict::invalid_field_in_parameter_list, list_flags);
    register_whatever_key();
  }

  void register_and_ignore() {
    if (asked_.spec_i_pt) return refuse(verdict::invalid_field_in_parameter_list, list_flags);
    register_whatever_key();
  }

  void register_whatever_key() {
    if (asked_.action_key == 0) return unregister_everywhere();
    for (const i_t& nexus : addressed_nexuses()) {
      // Others that SPEC_I_PT names must not be registered yet; a registered sender changes its own key.
      if (nexus != who_ && asked_.spec_i_pt && after.find(nexus))
        return refuse(verdict::invalid_field_in_parameter_list, list_transport_id);
      set_key(nexus, asked_.action_key);
    }
    if (after.registrants.size() > max_registrants) return refuse(verdict::insufficient_resources);
    after.aptpl = asked_.aptpl;
    changed_registrations();
  }

  /// The sender and, by SPEC_I_PT and ALL_TG_PT, those that it speaks for.
  std::vector<i_t> addressed_nexuses() const {
    std::vector<scsi::transport_id> initiators{who_.initiator};
    if (asked_.spec_i_pt) initiators.insert(initiators.end(), asked_.initiators.begin(), asked_.initiators.end());
    std::vector<i_t> nexuses;
    for (const scsi::transport_id& initiator : initiators) {
      nexuses.push_back({initiator, who_.relative_target_port});
      if (!asked_.all_tg_pt) continue;
      for (std::uint16_t port : target_ports_)
        if (port != who_.relative_target_port) nexuses.push_back({initiator, port});
    }
    return nexuses;
  }

  void unregister_everywhere() {
    if (!after.find(who_)) return;  // an unregistered nexus asks to be unregistered: nothing to do, and no error
    after.aptpl = asked_.aptpl;
    for (const i_t& nexus : addressed_nexuses()) unregister(nexus);
    changed_registrations();
  }

  /// [SPC-4 5.12.11.3]
  void unregister(const i_t& nexus) {
    const bool held_alone = after.holder == nexus;
    std::erase_if(after.registrants, [&](const registrant& r) { return r.who == nexus; });
    if (held_alone) {
      if (is_registrants_only(after.type)) tell_registrants(scsi::asc::reservations_released);
      drop_reservation();
    } else if (after.registrants.empty()) {
      drop_reservation();  // the last of all registrants
    }
  }

  // -- REGISTER AND MOVE [SPC-4 5.12.8] ------------------------------------------------------------------------
  void register_and_move() {
    if (!knows_its_key()) return;
    if (!after.reserved()) return refuse(verdict::invalid_field_in_cdb, cdb_service_action);
    if (is_all_registrants(after.type) || after.holder != who_) return refuse(verdict::conflict);
    if (asked_.action_key == 0) return refuse(verdict::invalid_field_in_parameter_list, list_action_key);
    const auto& ports = target_ports_;
    if (std::find(ports.begin(), ports.end(), asked_.move_target_port) == ports.end())
      return refuse(verdict::invalid_field_in_parameter_list, list_move_target_port);
    if (asked_.initiators.size() != 1) return refuse(verdict::invalid_field_in_parameter_list, list_transport_id);
    const i_t heir{asked_.initiators.front(), asked_.move_target_port};
    if (heir == who_) return refuse(verdict::invalid_field_in_parameter_list, list_transport_id);
    set_key(heir, asked_.action_key);
    if (after.registrants.size() > max_registrants) return refuse(verdict::insufficient_resources);
    after.holder = heir;
    if (asked_.unregister) std::erase_if(after.registrants, [&](const registrant& r) { return r.who == who_; });
    after.aptpl = asked_.aptpl;
    changed_registrations();
  }

  // -- RESERVE, RELEASE, CLEAR [SPC-4 5.12.9, 5.12.11.2, 5.12.11.6] ---------------------------------------------
  void reserve() {
    if (!scope_and_type_are_valid() || !knows_its_key()) return;
    const type wanted = static_cast<type>(asked_.type);
    if (after.reserved()) {
      if (!after.holds(who_) || after.type != wanted) refuse(verdict::conflict);
      return;
    }
    take_reservation(wanted);
  }

  void take_reservation(type wanted) {
    after.type = wanted;
    after.holder.reset();
    if (!is_all_registrants(wanted)) after.holder = who_;
    done.changed = true;
  }

  void release() {
    if (!knows_its_key()) return;
    if (!after.holds(who_)) return;  // not the holder: nothing to do, and no error
    if (asked_.scope != 0 || asked_.type != static_cast<std::uint8_t>(after.type))
      return refuse(verdict::invalid_release, cdb_scope_and_type);
    if (is_registrants_only(after.type) || is_all_registrants(after.type))
      tell_registrants(scsi::asc::reservations_released);
    drop_reservation();
    done.changed = true;
  }

  void clear() {
    if (!knows_its_key()) return;
    tell_registrants(scsi::asc::reservations_preempted);
    after.registrants.clear();
    drop_reservation();
    changed_registrations();
  }

  // -- PREEMPT, PREEMPT AND ABORT [SPC-4 5.12.11.4, 5.12.11.5] --------------------------------------------------
  void preempt() {
    if (!knows_its_key()) return;
    if (is_all_registrants(after.type) && asked_.action_key == 0)
      return take_over([](const registrant&) { return true; });
    if (asked_.action_key == 0) return refuse(verdict::invalid_field_in_parameter_list, list_action_key);
    const auto matches = [key = asked_.action_key](const registrant& r) { return r.key == key; };
    if (after.holder && after.find(*after.holder)->key == asked_.action_key) return take_over(matches);
    remove_registrations(matches);
  }

  /// The reservation goes to the sender; those that match lose their registration, the sender never does.
  template <class Match>
  void take_over(Match matches) {
    if (!scope_and_type_are_valid()) return;
    const type before = after.type;
    remove_if([&](const registrant& r) { return r.who != who_ && matches(r); });
    take_reservation(static_cast<type>(asked_.type));
    if (before != after.type) tell_registrants(scsi::asc::reservations_released);
    changed_registrations();
  }

  template <class Match>
  void remove_registrations(Match matches) {
    if (std::none_of(after.registrants.begin(), after.registrants.end(), matches)) return refuse(verdict::conflict);
    remove_if(matches);
    if (after.registrants.empty()) drop_reservation();
    changed_registrations();
  }

  template <class Match>
  void remove_if(Match matches) {
    for (const registrant& r : after.registrants) {
      if (!matches(r)) continue;
      tell(r.who, scsi::asc::registrations_preempted);
      if (asked_.action == service_action::preempt_and_abort) done.aborts.push_back(r.who);
    }
    std::erase_if(after.registrants, matches);
  }

  const i_t& who_;
  const request& asked_;
  const std::vector<std::uint16_t>& target_ports_;
};

}  // namespace

effects execute(state& now, const i_t& who, const request& asked, const std::vector<std::uint16_t>& target_ports) {
  execution command(now, who, asked, target_ports);
  command.run();
  if (command.done.verdict != verdict::good) {
    // A refused command leaves nothing behind, not even effects that it had gathered on the way.
    effects refused;
    refused.verdict = command.done.verdict;
    refused.field_byte = command.done.field_byte;
    return refused;
  }
  now = std::move(command.after);
  return std::move(command.done);
}

effects clear_by_operator(state& now) {
  effects done;
  for (const registrant& r : now.registrants) done.attentions.push_back({r.who, scsi::asc::reservations_preempted});
  done.changed = !now.registrants.empty();
  now.registrants.clear();
  now.type = type::none;
  now.holder.reset();
  if (done.changed) ++now.generation;
  return done;
}

}  // namespace sluice::reservations
