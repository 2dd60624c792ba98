#include <algorithm>
#include <cstring>

#include "actors/observe/log.hpp"
#include "fabrics/iscsi/connection.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/scsi/outcome_builders.hpp"

/// Data and status of commands, both ways [RFC7143 4.2.5, 11.4, 11.7, 11.8].
namespace sluice::iscsi {
namespace {

/// Among target transfer tags, which count up and wrap at 31 bits.
bool is_older(std::uint32_t tag, std::uint32_t than) {
  return ((tag - than) & 0x7fffffff) >= 0x40000000;
}

}  // namespace

void connection::on_task(port::task& t, port::task_event event) noexcept {
  command& c = *static_cast<command*>(t.fabric_private);
  switch (event) {
    case port::task_event::get_data:
      on_get_data(c);
      break;
    case port::task_event::put_data:
      on_put_data(c);
      break;
    case port::task_event::take_back:
      on_take_back(c);
      break;
    case port::task_event::complete:
      on_complete(c);
      break;
    default:
      SLUICE_CHECK(!"an event for logical units");
  }
  move_on();
}

/// What is wrong with a Data-Out that answers an R2T; 0: nothing. Out of sequence is an error at level 0 [RFC7143 7.8].
scsi::additional_sense connection::wrong_in_burst(const command& c, const data_out& pdu, std::uint32_t octets) {
  if (c.bursts.empty()) return scsi::asc::protocol_service_crc_error;
  const burst& b = c.bursts.front();
  if (pdu.target_transfer_tag != b.target_transfer_tag || pdu.data_sn != b.data_sn ||
      pdu.buffer_offset != b.offset + b.received)
    return scsi::asc::protocol_service_crc_error;
  const std::uint32_t left = b.length - b.received;
  const bool amount_is_right = octets <= left && pdu.final == (octets == left);
  return amount_is_right ? scsi::additional_sense{0} : scsi::asc::not_enough_unsolicited_data;
}

/// Likewise of one that was not asked for: a command with more data than FirstBurstLength brings just so many first.
scsi::additional_sense connection::wrong_unasked(const command& c, const data_out& pdu, std::uint32_t octets) const {
  if (!c.unsolicited_open) return scsi::asc::unexpected_unsolicited_data;
  if (pdu.data_sn != c.unsolicited_sn || pdu.buffer_offset != c.arrived) return scsi::asc::protocol_service_crc_error;
  const std::uint64_t end = c.arrived + octets;
  const bool too_few =
      pdu.final && c.task.expected_data_out > parameters().first_burst_length && end < parameters().first_burst_length;
  const bool too_many = end > c.landing_base + c.landing_bytes;
  return too_few || too_many ? scsi::asc::not_enough_unsolicited_data : scsi::additional_sense{0};
}

// -- from the initiator ------------------------------------------------------------------------------------------

std::optional<std::uint32_t> connection::place_data_out(const data_out& pdu, std::uint32_t octets, command*& target) {
  const bool solicited = pdu.target_transfer_tag != reserved_tag;
  if (solicited && live_management() > 0) owed_data_came(pdu);
  command* c = commands_.find(pdu.initiator_task_tag);
  target = nullptr;
  // Late data are dropped without a word, as of a command that has ended, so of one under whose task tag another one
  // goes on: its transfer tags are older.
  if (!c || c->end == command::fate::failed || c->end == command::fate::silent) return std::nullopt;
  if (solicited && is_older(pdu.target_transfer_tag, c->first_transfer_tag)) return std::nullopt;
  if (c->end == command::fate::taken_back) {
    const bool is_owed = solicited ? !c->bursts.empty() && pdu.target_transfer_tag == c->bursts[0].target_transfer_tag
                                   : c->unsolicited_open;
    if (is_owed) target = c;
    return std::nullopt;
  }
  const scsi::additional_sense wrong = solicited ? wrong_in_burst(*c, pdu, octets) : wrong_unasked(*c, pdu, octets);
  if (wrong != 0) {
    fail_transfer(*c, wrong);
    return std::nullopt;
  }
  if (octets > 0 && !provide_landing(*c)) return std::nullopt;
  target = c;
  return static_cast<std::uint32_t>(pdu.buffer_offset - c->landing_base);
}

/// The first data of a landing are here: it takes memory now. What was asked for has been paid; there may still be no
/// block, when free memory lies in pieces.
bool connection::provide_landing(command& c) {
  if (!c.landing.empty()) return true;
  memory::pool& buffers = loop_.buffers();
  if (c.reserved.octets() > 0) {
    c.landing = buffers.take_paid(c.landing_bytes, *payer_);
    if (!c.landing.empty()) c.reserved.spend();
  } else {
    c.landing = buffers.take(c.landing_bytes, *payer_);
  }
  if (c.landing.empty()) run_out_of_memory(c);
  return !c.landing.empty();
}

void connection::end_landing(command& c) {
  if (c.promised) promised_ -= c.landing_bytes;
  c.promised = false;
  c.landing_bytes = 0;
  c.landing = {};
  c.reserved = {};
  if (!starving_.empty()) loop_.defer(on_memory_);
}

void connection::run_out_of_memory(command& c) {
  fail_transfer(c, 0);
  c.verdict = commands_.live().size() > 1 ? scsi::outcomes::task_set_full() : scsi::outcomes::busy();
}

void connection::take_data_out(bhs_view at, const_bytes data) {
  const auto pdu = decode<data_out>(at);
  const auto octets = static_cast<std::uint32_t>(data.size());
  command* c = nullptr;
  const auto place = place_data_out(pdu, octets, c);
  if (!c) return;
  if (place && !data.empty()) std::memcpy(c->landing.data() + *place, data.data(), data.size());
  data_out_landed(*c, octets, pdu.final);
}

void connection::data_out_landed(command& c, std::uint32_t octets, bool final) {
  const bool wanted = c.end == command::fate::served;
  c.progress_ns = now_ns_;
  if (wanted) c.arrived += octets;
  if (c.unsolicited_open) {
    ++c.unsolicited_sn;
    if (!final) return;
    c.unsolicited_open = false;
    if (!wanted) return data_dropped(c);
    keep_landed(c);
    if (c.where() == command::stage::fetching) advance_fetch(c);
    return;
  }
  if (c.bursts.empty()) return;  // forgotten while they were on their way in
  burst& b = c.bursts.front();
  const std::uint32_t left = b.length - b.received;
  const std::uint32_t counted = final ? left : std::min(octets, left);
  b.received += counted;
  ++b.data_sn;
  solicited_ -= counted;
  if (!final) return;
  c.bursts.erase(c.bursts.begin());
  if (!wanted) return data_dropped(c);
  if (c.arrived < c.fetch_end) return send_r2ts(c);
  keep_landed(c);
  advance_fetch(c);
}

/// The landing buffer holds all it will: its filled part joins the task's data with the next answer to the unit.
void connection::keep_landed(command& c) {
  const auto octets = static_cast<std::uint32_t>(c.arrived - c.landing_base);
  if (octets > 0) c.early.push_back(c.landing.sub(0, octets));
  end_landing(c);
}

void connection::on_get_data(command& c) {
  c.move_to(command::stage::fetching);
  c.fetch_end = c.task.wanted_offset + c.task.wanted_length;
  if (phase_ != phase_of::full_feature) c.end = command::fate::silent;
  if (c.end == command::fate::served && c.fetch_end > c.task.expected_data_out)  // the initiator has no more than that
    return fail_transfer(c, scsi::asc::not_enough_unsolicited_data);
  advance_fetch(c);
}

/// Takes the next step towards [.., fetch_end): answers the unit, asks the initiator, or waits.
void connection::advance_fetch(command& c) {
  if (c.end != command::fate::served) return answer_fetch(c, port::transfer_end::failed);
  if (c.unsolicited_open) return watch_owed(c);
  if (c.arrived >= c.fetch_end) return answer_fetch(c, port::transfer_end::done);
  if (c.landing_bytes > 0) {
    watch_owed(c);
    return mover_->fetch(c);
  }
  c.hungry_since_ns = now_ns_;
  starving_.push_back(&c);
  feed_starving();
}

/// Asks for the data of commands that could not yet, in order, as far as memory and the limit of the session go.
void connection::feed_starving() {
  while (!starving_.empty()) {
    command& c = *starving_.front();
    const std::uint64_t octets = c.fetch_end - c.arrived;
    SLUICE_CHECK(octets <= memory::pool::largest);
    if (promised_ > 0 && promised_ + octets > solicited_limit) return;  // until data that were asked for are here
    if (!reserve_landing(c, static_cast<std::uint32_t>(octets))) return wait_for_memory();
    starving_.erase(starving_.begin());
    fed_ns_ = now_ns_;
    watch_owed(c);
    mover_->fetch(c);
  }
}

bool connection::reserve_landing(command& c, std::uint32_t octets) {
  c.reserved = memory::charge(ledger(), *payer_);
  if (!c.reserved.set(memory::pool::rounded(octets))) return false;
  c.landing_bytes = octets;
  c.landing_base = c.next_r2t = c.arrived;
  c.promised = true;
  promised_ += octets;
  return true;
}

/// Commands wait for memory as long as their session gets any now and then.
void connection::give_up_starving() {
  if (!memory_waiter_.waiting()) return;  // they wait for the initiator
  std::vector<command*> over;
  for (command* c : starving_)
    if (now_ns_ - std::max(c->hungry_since_ns, fed_ns_) > hungry_limit_ns) over.push_back(c);
  for (command* c : over) run_out_of_memory(*c);
}

void connection::send_r2ts(command& c) {
  while (c.next_r2t < c.fetch_end && c.bursts.size() < parameters().max_outstanding_r2t) {
    burst b;
    b.target_transfer_tag = next_transfer_tag_++ & 0x7fffffff;  // never the reserved tag
    b.offset = c.next_r2t;
    b.length =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(c.fetch_end - c.next_r2t, parameters().max_burst_length));
    ready_to_transfer ask;
    ask.lun = c.task.lun;
    ask.initiator_task_tag = c.initiator_task_tag;
    ask.target_transfer_tag = b.target_transfer_tag;
    ask.r2t_sn = c.r2t_sn++;
    ask.buffer_offset = static_cast<std::uint32_t>(b.offset);
    ask.desired_length = b.length;
    ask.sn = numbers();
    send(ask);
    c.next_r2t += b.length;
    solicited_ += b.length;
    c.bursts.push_back(b);
  }
}

void connection::refuse_transfer(command& c) {
  fail_transfer(c, scsi::asc::not_enough_unsolicited_data);
}

void connection::fetched(command& c) {
  c.arrived = c.fetch_end;
  keep_landed(c);
  advance_fetch(c);
}

void connection::answer_fetch(command& c, port::transfer_end how) {
  port::task& t = c.task;
  c.move_to(command::stage::at_unit);
  if (!starving_.empty()) std::erase(starving_, &c);
  t.ended = how;
  if (how == port::transfer_end::done) {
    for (memory::slice& s : c.early) t.data_out.push_back(std::move(s));
    t.data_out_end = c.arrived;
  } else {
    mover_->let_go(c);
    end_landing(c);  // what is under way into it holds a slice of its own
  }
  if (how == port::transfer_end::failed) forget_bursts(c);
  c.early.clear();
  t.unit->post(t, port::task_event::data_arrived);
}

/// The unit does not wait for the initiator any more. The initiator cannot be told to stop: what it was asked for, or
/// has announced, is still dropped as it comes. While such data are due, the command's response has to wait for the
/// last of them [RFC7143 11.4.2: no response before the PDU with the F bit of the last sequence that was asked for];
/// only the response, which is this initiator's own affair. Without a response (an abort, a reset, TAS = 0) nothing
/// waits: a target may answer a task management function without waiting for the transfer tags of other initiators
/// [RFC7143 4.2.3.3].
void connection::on_take_back(command& c) {
  if (c.where() == command::stage::sending) return answer_put(c, port::transfer_end::taken_back);
  if (c.where() != command::stage::fetching) return;  // it is on its way back already
  c.end = command::fate::taken_back;
  answer_fetch(c, port::transfer_end::taken_back);
}

/// From now on the initiator has time to send what it owes.
void connection::watch_owed(command& c) {
  c.progress_ns = loop_.now_ns();
  if (!owed_timer_.armed()) loop_.arm(owed_timer_, served().data_out_timeout_ns);
}

/// A command whose data do not come ends: the unit gets it back, and the initiator hears why. What comes later is
/// dropped. A response that waited for data that nobody wants leaves without them.
void connection::on_owed_timer() noexcept {
  if (phase_ != phase_of::full_feature) return;
  const std::uint64_t now = loop_.now_ns();
  std::uint64_t next = UINT64_MAX;
  std::vector<command*> late;
  for (command* c : commands_.live()) {
    const bool owes = (c->where() == command::stage::fetching || c->where() == command::stage::ended) &&
                      c->end != command::fate::failed && c->is_owed_data();
    if (!owes) continue;
    const std::uint64_t due = c->progress_ns + served().data_out_timeout_ns;
    if (due <= now)
      late.push_back(c);
    else
      next = std::min(next, due);
  }
  for (command* c : late) {
    SLUICE_LOG(warning, "iscsi", "an initiator does not send the data that it owes",
               {"initiator", parameters().initiator_name}, {"peer", facts_->peer}, {"port", served().id.name});
    c->unsolicited_open = false;
    if (c->where() == command::stage::fetching) {
      fail_transfer(*c, scsi::asc::initiator_response_timeout);
    } else {
      forget_bursts(*c);
      data_dropped(*c);
    }
  }
  if (next != UINT64_MAX) loop_.arm(owed_timer_, next - now);
}

/// A sequence of data that nobody wants any more is over.
void connection::data_dropped(command& c) {
  if (c.where() != command::stage::ended || c.is_owed_data()) return;
  free_slot(c);
  send_status(c);
  release(c);
}

void connection::forget_bursts(command& c) {
  for (const burst& b : c.bursts) solicited_ -= b.length - b.received;
  c.bursts.clear();
}

/// The data of a command went wrong: the unit lets go of it silently, and the initiator hears ABORTED COMMAND.
void connection::fail_transfer(command& c, scsi::additional_sense why) {
  c.end = command::fate::failed;
  c.verdict = scsi::outcomes::aborted(why);
  c.unsolicited_open = false;
  if (c.where() == command::stage::fetching) answer_fetch(c, port::transfer_end::failed);
}

// -- to the initiator --------------------------------------------------------------------------------------------

void connection::on_put_data(command& c) {
  c.move_to(command::stage::sending);
  if (phase_ != phase_of::full_feature) c.end = command::fate::silent;
  if (c.end == command::fate::served) mover_->send_data_in(c, false);
  c.task.data_in.clear();
  if (c.end != command::fate::served) return answer_put(c, port::transfer_end::failed);
  mover_->await_sent(c);
}

void connection::data_sent(command& c) {
  answer_put(c, c.end == command::fate::served ? port::transfer_end::done : port::transfer_end::failed);
}

void connection::answer_put(command& c, port::transfer_end how) {
  c.move_to(command::stage::at_unit);
  if (how != port::transfer_end::done) mover_->let_go(c);
  c.task.ended = how;
  c.task.unit->post(c.task, port::task_event::data_sent);
}

void connection::on_complete(command& c) {
  const bool listening = phase_ == phase_of::full_feature && c.end != command::fate::silent;
  const bool failed = c.end == command::fate::failed;
  if (!listening || (!failed && c.task.silent())) return release(c);
  if (!failed) {
    c.verdict.status = c.task.outcome.status;
    if (c.verdict.status == scsi::status::check_condition) c.verdict.sense = c.task.outcome.sense;
  }
  if (!failed && c.is_owed_data()) {
    c.end = command::fate::taken_back;
    c.move_to(command::stage::ended);
    watch_owed(c);
    end_landing(c);
    c.early.clear();
    c.task.data_in.clear();
    c.task.data_out.clear();
    return;
  }
  free_slot(c);
  if (failed) {  // whatever the unit made of it
    c.task.data_in.clear();
    c.task.length_in = c.task.length_out = 0;
    send_status(c);
  } else {
    mover_->send_data_in(c, true);
    if (!c.status_sent) send_status(c);
  }
  release(c);
}

namespace {

/// The one residual that a response has room for: of the way the command went, or, when the initiator had announced
/// the other way, what it could not move.
port::residual residual_of(const port::task& t) {
  const port::residual out = t.residual_out(), in = t.residual_in();
  port::residual r = out.over || !(in.over || in.under) ? out : in;
  r.octets = std::min<std::uint64_t>(r.octets, UINT32_MAX);
  return r;
}

}  // namespace

void connection::put_status(command& c, data_in& pdu) {
  const port::residual left = residual_of(c.task);
  pdu.has_status = true;
  pdu.overflow = left.over;
  pdu.underflow = left.under;
  pdu.residual_count = static_cast<std::uint32_t>(left.octets);
  pdu.sn = next_numbers();
  c.status_sent = true;
}

/// [RFC7143 11.4]
void connection::send_status(command& c) {
  scsi_response r;
  const port::residual left = residual_of(c.task);
  r.overflow = left.over;
  r.underflow = left.under;
  r.residual_count = static_cast<std::uint32_t>(left.octets);
  r.status = static_cast<std::uint8_t>(c.verdict.status);
  r.initiator_task_tag = c.initiator_task_tag;
  r.exp_data_sn = c.data_in_sn + c.r2t_sn;
  r.sn = next_numbers();
  if (c.verdict.status != scsi::status::check_condition) return send(r);
  const scsi::encoded_sense sense = c.task.encode_sense(c.verdict.sense);
  std::array<std::uint8_t, 2 + sizeof(sense.data)> segment;
  wire::store16(segment, 0, sense.size);
  std::copy_n(sense.data.begin(), sense.size, segment.begin() + 2);
  send(r, const_bytes(segment).first(2u + sense.size));
}

/// The command window opens by what has completed, in the response that says so.
void connection::free_slot(command& c) {
  if (c.slot_freed) return;
  c.slot_freed = true;
  if (c.immediate)
    --immediate_live_;
  else
    window_.complete();
}

void connection::release(command& c) {
  const bool had_data_out = c.may_have_data_out();
  free_slot(c);
  if (had_data_out) {
    note_owed(c);
    forget_bursts(c);
  }
  if (!starving_.empty()) std::erase(starving_, &c);
  mover_->forget(c);
  if (had_data_out)
    end_landing(c);
  else if (!starving_.empty())
    loop_.defer(on_memory_);
  commands_.remove(c);
}

}  // namespace sluice::iscsi
