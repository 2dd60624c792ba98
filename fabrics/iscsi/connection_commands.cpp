#include <algorithm>
#include <cstring>

#include "fabrics/iscsi/connection.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/scsi/outcome_builders.hpp"

/// What the PDUs of the full feature phase ask for, in the order of CmdSN.
namespace sluice::iscsi {
namespace {

constexpr std::uint32_t max_small_echo = 4096;  // ping data up to here is copied, more is sent from where it lies

port::task_attribute attribute_of(std::uint8_t code) {
  switch (code) {
    case 2:
      return port::task_attribute::ordered;
    case 3:
      return port::task_attribute::head_of_queue;
    case 4:
      return port::task_attribute::aca;
    default:
      return port::task_attribute::simple;  // untagged and simple
  }
}

/// SendTargets and the logout of the session [RFC7143 4.3]; and what answers our own probe, or only brings ExpStatSN.
bool belongs_to_discovery(bhs_view at) {
  switch (decode_header(at).code) {
    case opcode::nop_out:
      return decode<nop_out>(at).initiator_task_tag == reserved_tag;
    case opcode::logout_request:
      return decode<logout_request>(at).reason == 0;
    case opcode::text_request:
      return true;
    default:
      return false;
  }
}

/// What a PDU takes of a turn of the loop, in units of a SCSI command.
unsigned cost_of(const header& shape) {
  switch (shape.code) {
    case opcode::text_request:
    case opcode::login_request:
      return 32;
    case opcode::task_management_request:
      return 8;
    default:
      return 1 + shape.data_bytes / 65536;
  }
}

}  // namespace

void connection::take_pdu(bhs_view at, const_bytes ahs, const memory::slice& data, const tagged_buffers* tagged) {
  const header shape = decode_header(at);
  turn_cost_ += cost_of(shape);
  if (phase_ == phase_of::login) {
    if (shape.code == opcode::login_request) return take_login(decode<login_request>(at), data.span());
    if (!login_->started()) {
      options_.shared->refused.count(refusals::protocol);
      return turn_away();
    }
    login_step refused = login_->fail(login_status::invalid_during_login);
    return send_login(refused);
  }
  switch (shape.code) {
    case opcode::scsi_command: {
      command* c = accept_command(at, ahs, data.size(), tagged);
      if (!c) return;
      attach_immediate(*c, data);
      return command_ready(*c);
    }
    case opcode::data_out:
      return take_data_out(at, data.span());
    case opcode::nop_out:
    case opcode::text_request:
    case opcode::logout_request:
    case opcode::task_management_request:
      break;
    case opcode::snack:
      return send_reject(reject_reason::snack_reject, at);
    case opcode::login_request:
      return send_reject(reject_reason::protocol_error, at);
    default:
      send_reject(reject_reason::command_not_supported, at);
      return shape.immediate ? void() : skip_command(wire::load32(at, 24));
  }
  if (shape.immediate) return execute(at, data);
  const std::uint32_t cmd_sn = wire::load32(at, 24);
  switch (window_.look(cmd_sn)) {
    case command_window::verdict::outside:
      return;
    case command_window::verdict::ahead: {
      parked later{cmd_sn, parked::kind::other, nullptr, {}, data};
      std::copy(at.begin(), at.end(), later.basic_header.begin());
      return park(std::move(later));
    }
    case command_window::verdict::next:
      break;
  }
  window_.take();
  window_.complete();
  execute(at, data);
  run_parked();
}

void connection::execute(bhs_view at, const memory::slice& data) {
  if (parameters().discovery && !belongs_to_discovery(at)) return send_reject(reject_reason::protocol_error, at);
  switch (decode_header(at).code) {
    case opcode::nop_out:
      return take_nop(decode<nop_out>(at), data);
    case opcode::logout_request:
      return take_logout(decode<logout_request>(at));
    case opcode::task_management_request:
      return take_management(decode<task_management_request>(at));
    case opcode::text_request: {
      const auto request = decode<text_request>(at);
      text_exchange::step step = text_->take(request, data.span(), parameters().max_recv_initiator);
      if (step.rejected) return send_reject(step.reason, at);
      step.response.sn = next_numbers();
      return send(step.response, as_bytes(step.data));
    }
    default:
      return;
  }
}

// -- SCSI commands -----------------------------------------------------------------------------------------------

command* connection::accept_command(bhs_view at, const_bytes ahs, std::uint32_t data_bytes,
                                    const tagged_buffers* tagged) {
  const auto request = decode<scsi_command>(at);
  const auto where = window_.look(request.cmd_sn);
  if (!request.immediate) {
    if (where == command_window::verdict::outside) return nullptr;  // silently [RFC7143 4.2.2.1]
    if (is_parked(request.cmd_sn)) return nullptr;
  }
  std::optional<reject_reason> refusal;
  additional_headers more;
  if (!nexus_)
    refusal = reject_reason::protocol_error;  // a discovery session
  else if (request.immediate && immediate_live_ >= max_immediate)
    refusal = reject_reason::too_many_immediate_commands;
  else if (commands_.find(request.initiator_task_tag))
    refusal = reject_reason::task_in_progress;
  else if (request.initiator_task_tag == reserved_tag || request.attribute > 4)
    refusal = reject_reason::invalid_pdu_field;
  else if (request.read && request.write)
    refusal = reject_reason::command_not_supported;
  else if (decode_ahs(ahs, more) != ahs_verdict::ok)
    refusal = reject_reason::invalid_pdu_field;
  if (refusal) {
    send_reject(*refusal, at);
    if (!request.immediate) skip_command(request.cmd_sn);
    return nullptr;
  }
  command& c = commands_.add(request.initiator_task_tag);
  c.cmd_sn = request.cmd_sn;
  c.immediate = request.immediate;
  if (c.immediate) ++immediate_live_;
  port::task& t = c.task;
  c.first_transfer_tag = next_transfer_tag_;
  t.nexus = nexus_->identity();
  t.fabric = self_;
  t.fabric_private = &c;
  t.payer = payer_;
  t.lun = request.lun;
  t.tag = request.initiator_task_tag;
  t.attribute = attribute_of(request.attribute);
  t.set_cdb(request.cdb, more.extended_cdb);
  t.expected_data_out = request.write ? request.expected_data_transfer_length : 0;
  t.expected_data_in = request.read ? request.expected_data_transfer_length : 0;
  t.arrived_ns = now_ns_;
  if (tagged) mover_->accepted(c, *tagged);
  check_unsolicited(c, request.final, data_bytes);
  return &c;
}

/// Holds what comes unasked against what was negotiated [RFC7143 13.10, 13.11, 13.14].
void connection::check_unsolicited(command& c, bool final, std::uint32_t immediate_bytes) {
  const std::uint64_t most = std::min<std::uint64_t>(parameters().first_burst_length, c.task.expected_data_out);
  const bool too_much = immediate_bytes > 0 && (!parameters().immediate_data || immediate_bytes > most);
  const bool more_comes = !final;
  if (too_much || (more_comes && (parameters().initial_r2t || immediate_bytes >= most)))
    return fail_transfer(c, scsi::asc::unexpected_unsolicited_data);
  c.arrived = immediate_bytes;
  if (!more_comes) return;
  const std::uint64_t room = std::min<std::uint64_t>(most - immediate_bytes, memory::pool::largest);
  c.landing_bytes = static_cast<std::uint32_t>(room);  // memory is taken when the first of them come
  c.landing_base = immediate_bytes;
  c.unsolicited_open = true;
}

void connection::attach_immediate(command& c, memory::slice data) {
  if (c.end == command::fate::failed || data.empty()) return;
  c.task.data_out_end = data.size();
  c.task.data_out.push_back(std::move(data));
}

void connection::command_ready(command& c) {
  if (c.immediate) return submit(c);
  if (window_.look(c.cmd_sn) != command_window::verdict::next) return park({c.cmd_sn, parked::kind::scsi, &c, {}, {}});
  window_.take();
  submit(c);
  run_parked();
}

void connection::submit(command& c) {
  if (c.end == command::fate::silent) return release(c);
  if (c.end == command::fate::failed) {
    free_slot(c);
    send_status(c);
    return release(c);
  }
  c.move_to(command::stage::at_unit);
  nexus_->submit(c.task);
}

void connection::park(parked later) {
  if (!is_parked(later.cmd_sn)) parked_.push_back(std::move(later));
}

bool connection::is_parked(std::uint32_t cmd_sn) const {
  return std::any_of(parked_.begin(), parked_.end(), [&](const parked& p) { return p.cmd_sn == cmd_sn; });
}

/// What had this CmdSN is not done, and holds up nothing that comes after it [RFC7143 4.2.2.1, 11.6.1].
void connection::skip_command(std::uint32_t cmd_sn) {
  switch (window_.look(cmd_sn)) {
    case command_window::verdict::outside:
      return;
    case command_window::verdict::ahead:
      return park({cmd_sn, parked::kind::nothing, nullptr, {}, {}});
    case command_window::verdict::next:
      window_.take();
      window_.complete();
      return run_parked();
  }
}

/// Runs what waited for the CmdSN that has just been taken.
void connection::run_parked() {
  while (phase_ == phase_of::full_feature && !(parked_.empty() && early_management_.empty())) {
    run_early_management();
    const auto next = [&](const parked& p) { return p.cmd_sn == window_.exp_cmd_sn(); };
    const auto found = std::find_if(parked_.begin(), parked_.end(), next);
    if (found == parked_.end()) return;
    const parked now = std::move(*found);
    parked_.erase(found);
    window_.take();
    if (now.what == parked::kind::scsi) {
      submit(*now.command);
      continue;
    }
    window_.complete();
    if (now.what == parked::kind::other) execute(now.basic_header, now.data);
  }
}

// -- everything else ---------------------------------------------------------------------------------------------

void connection::take_nop(const nop_out& request, const memory::slice& data) {
  if (request.initiator_task_tag == reserved_tag) return;  // the answer to our probe, or only news of ExpStatSN
  nop_in pong;
  pong.initiator_task_tag = request.initiator_task_tag;
  pong.lun = request.lun;
  pong.sn = next_numbers();
  const std::uint32_t octets = std::min(data.size(), parameters().max_recv_initiator);
  if (octets <= max_small_echo) return send(pong, data.span().first(octets));
  std::uint8_t* to = mover_->begin_pdu();
  encode(pong, std::span<std::uint8_t, bhs_bytes>(to, bhs_bytes), octets);
  mover_->end_pdu(to, data.sub(0, octets));
}

void connection::take_logout(const logout_request& request) {
  logout_result verdict = logout_result::closed;
  if (request.reason == 1 && request.cid != cid_) verdict = logout_result::cid_not_found;
  if (request.reason > 1) verdict = logout_result::recovery_not_supported;
  if (verdict == logout_result::closed) {
    logout_ = request;
    return leave(port::loss_reason::logout);
  }
  logout_response no;
  no.response = verdict;
  no.initiator_task_tag = request.initiator_task_tag;
  no.sn = next_numbers();
  send(no);
}

void connection::reject_and_leave(reject_reason reason, bhs_view at) {
  send_reject(reason, at);
  leave(port::loss_reason::connection_lost);
}

void connection::send_reject(reject_reason reason, bhs_view at) {
  options_.shared->counted.count(reason);
  reject no;
  no.reason = reason;
  no.sn = next_numbers();
  send(no, at);
}

}  // namespace sluice::iscsi
