#include <algorithm>

#include "gateway/reservations/blob.hpp"
#include "gateway/reservations/conflicts.hpp"
#include "gateway/reservations/machine.hpp"
#include "gateway/scsi/mode_pages.hpp"
#include "gateway/scsi/parameter_lists.hpp"
#include "gateway/state/identity.hpp"
#include "gateway/unit/home.hpp"
#include "gateway/unit/mode_blob.hpp"

// What shards ask the home for: commands that change agreed state, and management of the whole task set.
namespace sluice::unit {

namespace outcomes = scsi::outcomes;

namespace {

const_bytes cdb_of(const control_request& request) {
  return {request.cdb.data(), request.cdb_octets};
}

/// The two forms of the PERSISTENT RESERVE OUT parameter list as one request.
scsi::or_outcome<reservations::request> decode_request(const control_request& request) {
  const scsi::pr_out_cdb cdb = scsi::decode_pr_out(cdb_of(request));
  reservations::request asked;
  asked.action = static_cast<reservations::service_action>(cdb.action);
  asked.scope = cdb.scope;
  asked.type = cdb.type;
  if (cdb.action == scsi::pr_out_action::register_and_move) {
    const auto list = scsi::parse_pr_move(request.parameters);
    if (!list) return tl::unexpected<scsi::outcome>(list.error());
    asked.key = list->reservation_key;
    asked.action_key = list->service_action_key;
    asked.unregister = list->unregister;
    asked.aptpl = list->aptpl;
    asked.move_target_port = list->relative_target_port;
    asked.initiators = {list->destination};
    return asked;
  }
  const auto list = scsi::parse_pr_out(cdb.action, request.parameters);
  if (!list) return tl::unexpected<scsi::outcome>(list.error());
  asked.key = list->reservation_key;
  asked.action_key = list->service_action_key;
  asked.spec_i_pt = list->spec_i_pt;
  asked.all_tg_pt = list->all_tg_pt;
  asked.aptpl = list->aptpl;
  asked.initiators = list->initiators;
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
      return outcomes::invalid_field_in_cdb(effects.field_octet);
    case verdict::invalid_field_in_parameter_list:
      return outcomes::invalid_field_in_parameter_list(effects.field_octet);
    case verdict::parameter_list_length_error:
      return outcomes::parameter_list_length_error();
    case verdict::invalid_release:
      return outcomes::invalid_release();
    case verdict::insufficient_resources:
      return outcomes::insufficient_registration_resources();
  }
  return outcomes::hardware_error();
}

}  // namespace

void home::run(const control_request& request) {
  if (frozen_) return answer(request, outcomes::busy());
  const auto row = scsi::check_cdb(cdb_of(request), snapshot_->facts);
  if (!row) return answer(request, row.error());
  switch ((*row)->what) {
    case scsi::command::persistent_reserve_out:
      return persistent_reserve_out(request);
    case scsi::command::reserve:
      return reserve_or_release(request, true);
    case scsi::command::release:
      return reserve_or_release(request, false);
    case scsi::command::mode_select:
      return mode_select(request);
    case scsi::command::start_stop_unit:
      return start_stop(request);
    case scsi::command::prevent_allow_medium_removal:
      return prevent_allow(request);
    default:
      answer(request, outcomes::invalid_opcode());
  }
}

/// Ends a command that changed nothing.
void home::answer(const control_request& request, const scsi::outcome& outcome) {
  shards_[request.shard]->send(control_answer{request.id, outcome});
  end_step();
}

/// Ends a command with GOOD once its change is in force everywhere.
void home::commit_for(const control_request& request, change c) {
  c.finish = [this, shard = request.shard, id = request.id](const result<void>& outcome) {
    shards_[shard]->send(control_answer{id, outcome ? outcomes::good() : outcomes::hardware_error()});
  };
  commit(std::move(c));
}

void home::persistent_reserve_out(const control_request& request) {
  if (snapshot_->reserve_holder != 0) return answer(request, outcomes::reservation_conflict());  // [SPC-2 5.5.1]
  const auto asked = decode_request(request);
  if (!asked) return answer(request, asked.error());
  change c;
  c.next = draft();
  const reservations::effects effects =
      reservations::execute(c.next->reservations, request.who, *asked, snapshot_->target_ports());
  if (!effects.changed) return answer(request, outcome_of(effects));
  for (const reservations::attention& a : effects.attentions) c.attentions.push_back({{.only = a.who}, a.code});
  for (const reservations::i_t& who : effects.aborts) {
    abort_order order;
    order.whom.only = who;
    order.manner = abort_manner::by_other;
    order.reason = port::silence::preempted;
    order.asking_nexus = request.nexus;
    order.asking_request = request.id;
    c.aborts.push_back(order);
  }
  const bool keeps = c.next->reservations.aptpl && !c.next->reservations.registrants.empty();
  if (keeps)
    c.keep = change::lasting{state::reservations_key(options_.name), reservations::serialise(c.next->reservations)};
  else if (keeps_reservations_)
    c.keep = change::lasting{state::reservations_key(options_.name), std::nullopt};
  keeps_reservations_ = keeps_reservations_ || keeps;
  commit_for(request, std::move(c));
}

void home::reserve_or_release(const control_request& request, bool reserves) {
  std::uint64_t holder = snapshot_->reserve_holder;
  const auto act = reserves ? reservations::reserve : reservations::release;
  if (!act(snapshot_->reservations, request.who, request.nexus, holder))
    return answer(request, outcomes::reservation_conflict());
  if (holder == snapshot_->reserve_holder) return answer(request, outcomes::good());
  change c;
  c.next = draft();
  c.next->reserve_holder = holder;
  commit_for(request, std::move(c));
}

void home::mode_select(const control_request& request) {
  const auto row = scsi::check_cdb(cdb_of(request), snapshot_->facts);
  const scsi::mode_select_cdb cdb = scsi::decode_mode_select(**row, cdb_of(request));
  const auto selected = scsi::apply_mode_select(cdb, request.parameters, snapshot_->facts, snapshot_->mode, true);
  if (!selected) return answer(request, selected.error());
  const bool changes = *selected != snapshot_->mode;
  const bool saves = cdb.save && *selected != snapshot_->mode_saved;
  if (!changes && !saves) return answer(request, outcomes::good());
  change c;
  c.next = draft();
  c.next->mode = *selected;
  if (saves) {
    c.next->mode_saved = *selected;
    c.keep = change::lasting{state::mode_key(options_.name), serialise_mode(*selected)};
  }
  if (changes)
    c.attentions.push_back({{.only = {}, .except_nexus = request.nexus}, scsi::asc::mode_parameters_changed});
  commit_for(request, std::move(c));
}

/// [SBC-3 5.25] The shard has flushed the medium.
void home::start_stop(const control_request& request) {
  const scsi::start_stop_cdb cdb = scsi::decode_start_stop(cdb_of(request));
  if (cdb.power_condition != 0) return answer(request, outcomes::good());  // no power to save
  if (cdb.load_eject && !cdb.start && !snapshot_->prevents_removal.empty())
    return answer(request, outcomes::check(scsi::sense_key::illegal_request, scsi::asc::removal_prevented));
  if (snapshot_->stopped == !cdb.start) return answer(request, outcomes::good());
  change c;
  c.next = draft();
  c.next->stopped = !cdb.start;
  commit_for(request, std::move(c));
}

/// [SBC-3 5.13]
void home::prevent_allow(const control_request& request) {
  const bool prevents = scsi::decode_prevent(cdb_of(request));
  const auto& now = snapshot_->prevents_removal;
  const bool prevented = std::find(now.begin(), now.end(), request.nexus) != now.end();
  if (prevents == prevented) return answer(request, outcomes::good());
  change c;
  c.next = draft();
  std::erase(c.next->prevents_removal, request.nexus);
  if (prevents) c.next->prevents_removal.push_back(request.nexus);
  commit_for(request, std::move(c));
}

/// [SAM-5 7.4, 7.7, 6.3.3]
void home::run(const manage_request& request) {
  change c;
  c.next = draft();
  abort_order order;
  if (request.function == port::task_function::clear_task_set) {
    order.manner = abort_manner::by_other;
    order.reason = port::silence::cleared;
    order.asking_nexus = request.nexus;
    order.attention = scsi::asc::commands_cleared;
  } else {
    c.next->reserve_holder = 0;
    c.next->prevents_removal.clear();
    c.next->stopped = false;
    c.next->mode = c.next->mode_saved;
    c.attentions.push_back({{}, scsi::asc::bus_device_reset});
  }
  c.aborts.push_back(order);
  c.finish = [this, shard = request.shard, id = request.id](const result<void>&) {
    shards_[shard]->send(manage_answer{id, port::task_response::function_complete});
  };
  commit(std::move(c));
}

void home::on(nexus_lost& message) {
  enqueue(operator_step([this, nexus = message.nexus] { lose(nexus); }));
}

void home::lose(std::uint64_t nexus) {
  const auto& prevents = snapshot_->prevents_removal;
  const bool prevented = std::find(prevents.begin(), prevents.end(), nexus) != prevents.end();
  if (snapshot_->reserve_holder != nexus && !prevented) return end_step();
  change c;
  c.next = draft();
  if (c.next->reserve_holder == nexus) c.next->reserve_holder = 0;
  std::erase(c.next->prevents_removal, nexus);
  commit(std::move(c));
}

}  // namespace sluice::unit
