#include <algorithm>
#include <utility>

#include "fabrics/rdma/plan.hpp"
#include "fabrics/srp/channel.hpp"
#include "gateway/scsi/outcome_builders.hpp"

namespace sluice::srp {
namespace {

constexpr std::size_t max_events = 64;  // that wait to be told; unit attentions tell of what is beyond

}  // namespace

// -- from the unit ---------------------------------------------------------------------------------------------------

void channel::post(port::task& subject, port::task_event event) noexcept {
  inbox_.push_back({&subject, event, nullptr});
  loop_.defer(deliver_);
}

void channel::post(port::task_management& request) noexcept {
  inbox_.push_back({nullptr, {}, &request});
  loop_.defer(deliver_);
}

void channel::deliver() noexcept {
  const std::shared_ptr<channel> alive = shared_from_this();
  for (std::size_t left = inbox_.size(); left > 0; --left) {
    const note next = inbox_.front();
    inbox_.pop_front();
    if (next.task)
      handle(*next.task, next.event);
    else
      managed_done(*next.answer);
  }
  maybe_gone();
}

void channel::handle(port::task& t, port::task_event event) {
  running& r = *static_cast<running*>(t.fabric_private);
  switch (event) {
    case port::task_event::get_data:
      r.with = holder::fetching;
      return ending_ ? answer(r, port::transfer_end::failed) : fetch(r);
    case port::task_event::put_data:
      r.with = holder::sending;
      return ending_ ? answer(r, port::transfer_end::failed) : put(r);
    case port::task_event::take_back:
      if (r.with != holder::unit) answer(r, port::transfer_end::taken_back);
      return;
    case port::task_event::complete:
      return finish(r);
    default:
      SLUICE_CHECK(!"an event for logical units");
  }
}

void channel::fetch(running& r) {
  port::task& t = r.task;
  const std::uint64_t end = t.wanted_offset + t.wanted_length;
  if (end > r.what.out.length) {  // the command wants more than there is, and could not be told
    r.verdict = scsi::outcomes::aborted(scsi::asc::not_enough_unsolicited_data);
    return answer(r, port::transfer_end::failed);
  }
  if (t.data_out_end >= end) return answer(r, port::transfer_end::done);
  exchange& e = *new_exchange(exchange::kind::fetch, &r);
  for (std::uint64_t at = t.data_out_end; at < end;) {
    const auto octets = static_cast<std::uint32_t>(std::min<std::uint64_t>(end - at, memory::pool::largest));
    memory::slice part = loop_.buffers().take(octets, *share_);
    if (part.empty()) {
      r.verdict = scsi::outcomes::task_set_full();
      return answer(r, port::transfer_end::failed);
    }
    e.memory.push_back(part.sub(0, octets));
    at += octets;
  }
  rdma::plan(rdma::request::kind::read, r.what.out.pieces, t.data_out_end, e.memory, max_parts_read_, e.chain);
  sends_.push(e, rdma::send_queue::lane::data);
}

void channel::put(running& r) {
  exchange& e = *new_exchange(exchange::kind::put, &r);
  if (!add_data_in(r, e)) {
    r.verdict = scsi::outcomes::task_set_full();
    return answer(r, port::transfer_end::failed);
  }
  if (e.chain.empty()) return answer(r, port::transfer_end::done);  // more than there is room for
  sends_.push(e, rdma::send_queue::lane::data);
}

/// Adds what the initiator has room for of the data-in, and the writes of it; false when memory is short.
bool channel::add_data_in(running& r, exchange& to) {
  const std::uint64_t from = r.sent;
  for (const memory::slice& part : r.task.data_in) {
    const auto octets = static_cast<std::uint32_t>(std::min<std::uint64_t>(part.size(), r.what.in.length - r.sent));
    if (octets == 0) continue;
    memory::slice registered = part.sub(0, octets);
    if (loop_.buffers().region_of(registered.iov()) == memory::pool::no_region) {
      registered = loop_.buffers().take(octets, *share_);
      if (registered.empty()) return false;
      registered = registered.sub(0, octets);
      std::copy_n(part.data(), octets, registered.data());
    }
    to.memory.push_back(std::move(registered));
    r.sent += octets;
  }
  rdma::plan(rdma::request::kind::write, r.what.in.pieces, from, to.memory, max_parts_write_, to.chain);
  return true;
}

/// Gives the task back to the unit. From here on nothing touches its buffers; an adapter that does has references to
/// them of its own.
void channel::answer(running& r, port::transfer_end how) {
  if (exchange* const left = std::exchange(r.under_way, nullptr)) {
    left->of = nullptr;
    left->orphan = true;
    ++orphans_;
    if (!sends_.cut(*left)) ended(*left, rdma::outcome::flushed);
  }
  const bool fetching = r.with == holder::fetching;
  if (!fetching) r.task.data_in.clear();
  r.with = holder::unit;
  r.task.ended = how;
  r.task.unit->post(r.task, fetching ? port::task_event::data_arrived : port::task_event::data_sent);
}

/// The task has ended: its response, with the last of its data-in before it.
void channel::finish(running& r) {
  if (ending_) return give_back(r);
  if (r.task.silent() && !r.verdict) {
    ++owed_;
    give_back(r);
    return ask_credits_back();
  }
  exchange& e = *new_exchange(exchange::kind::answer, nullptr);
  if (!r.verdict && !add_data_in(r, e)) {
    e.memory.clear();
    e.chain.clear();
    r.verdict = scsi::outcomes::task_set_full();
  }
  send_response(r, r.verdict ? *r.verdict : r.task.outcome, e);
}

void channel::send_response(running& r, const scsi::outcome& how, exchange& with) {
  response said;
  said.tag = r.what.tag;
  said.status = how.status;
  scsi::encoded_sense sense;
  if (how.status == scsi::status::check_condition) {
    sense = r.task.encode_sense(how.sense);
    said.sense = sense.span();
  }
  said.out = r.task.residual_out();
  said.in = r.task.residual_in();
  if (r.verdict) {  // nothing of it counts
    said.out = {false, r.what.out.length > 0, r.what.out.length};
    said.in = {false, r.what.in.length > 0, r.what.in.length};
  }
  give_back(r);
  respond(with, said);
}

// -- what goes -------------------------------------------------------------------------------------------------------

/// Sends a response behind what is in its chain already; it gives the credit of its request back, and all that are
/// owed.
void channel::respond(exchange& with, response r) {
  memory::slice message = message_memory();
  if (message.empty()) return ended(with, rdma::outcome::flushed);  // the channel ends
  r.request_limit_delta = static_cast<std::int32_t>(1 + std::exchange(owed_, 0));
  given_ += static_cast<std::uint32_t>(r.request_limit_delta);
  const std::size_t octets = encode(r, message.span());
  send_message(with, std::move(message), octets);
}

void channel::send_message(exchange& with, memory::slice message, std::size_t octets) {
  rdma::request last;
  last.what = rdma::request::kind::send;
  last.part_count = 1;
  last.parts[0] = {message.data(), octets};
  with.memory.push_back(std::move(message));  // the last one: ended() knows
  with.chain.push_back(last);
  sends_.push(with, rdma::send_queue::lane::message);
}

/// Room for a message of ours; empty, and the channel ends, when there is no memory at all.
memory::slice channel::message_memory() {
  if (free_messages_.empty()) {
    constexpr std::uint32_t block_bytes = 4096;
    const memory::slice block = loop_.buffers().take(block_bytes, *share_, memory::ledger::claim::pressing);
    for (std::uint32_t at = 0; !block.empty() && at + max_target_iu_bytes <= block_bytes; at += max_target_iu_bytes)
      free_messages_.push_back(block.sub(at, max_target_iu_bytes));
  }
  if (free_messages_.empty()) {
    violation("no memory for an answer");
    return {};
  }
  memory::slice taken = std::move(free_messages_.back());
  free_messages_.pop_back();
  return taken;
}

/// The initiator cannot send what it has no credit for, not even a task management function: what ended without a
/// response is given back in time, by a request of its own when no response is to come.
void channel::ask_credits_back() {
  if (ending_ || owed_ == 0 || asked_for_credits_) return;
  if (!(running_.empty() && managed_.empty()) && owed_ < credits_ / 2) return;
  memory::slice message = message_memory();
  if (message.empty()) return;
  asked_for_credits_ = true;
  given_ += owed_;
  const credit_request said{0, static_cast<std::int32_t>(std::exchange(owed_, 0))};
  const std::size_t octets = encode(said, message.span());
  send_message(*new_exchange(exchange::kind::answer, nullptr), std::move(message), octets);
}

void channel::report(const port::unit_event& what) {
  if (ending_ || events_.size() >= max_events) return;
  events_.push_back(what);
  send_events();
}

void channel::send_events() {
  if (ending_ || told_event_ || events_.empty()) return;
  memory::slice message = message_memory();
  if (message.empty()) return;
  told_event_ = true;
  const port::unit_event next = events_.front();
  events_.pop_front();
  const scsi::encoded_sense sense = scsi::encode(scsi::outcomes::unit_attention(next.code).sense, false);
  event_request said;
  said.lun = next.lun;
  said.sense = sense.span();
  const std::size_t octets = encode(said, message.span());
  send_message(*new_exchange(exchange::kind::answer, nullptr), std::move(message), octets);
}

channel::exchange* channel::new_exchange(exchange::kind what, running* of) {
  if (free_exchanges_.empty()) free_exchanges_.push_back(&all_exchanges_.emplace_back());
  exchange* const made = free_exchanges_.back();
  free_exchanges_.pop_back();
  ++exchanging_;
  made->owner = this;
  made->what = what;
  made->of = of;
  if (of) of->under_way = made;
  return made;
}

/// All that was posted of it has ended, or nothing was.
void channel::ended(exchange& e, rdma::outcome how) {
  running* const r = std::exchange(e.of, nullptr);
  std::vector<memory::slice> memory = std::move(e.memory);
  const exchange::kind what = e.what;
  e.memory.clear();
  e.chain.clear();
  free_exchanges_.push_back(&e);
  --exchanging_;
  if (std::exchange(e.orphan, false)) {
    --orphans_;
    check_settled();
  }
  if (what == exchange::kind::answer && !memory.empty() && memory.back().size() == max_target_iu_bytes)
    free_messages_.push_back(std::move(memory.back()));
  if (r) {
    r->under_way = nullptr;
    const bool done = how == rdma::outcome::done;
    switch (what) {
      case exchange::kind::load_out:
        if (done) loaded(*r, r->what.out, memory[0]);
        break;  // else the connection is broken, and its end gives the command back
      case exchange::kind::load_in:
        if (done) loaded(*r, r->what.in, memory[0]);
        break;
      case exchange::kind::fetch:
        if (done)
          for (memory::slice& each : memory) {
            r->task.data_out_end += each.size();
            r->task.data_out.push_back(std::move(each));
          }
        [[fallthrough]];
      case exchange::kind::put:
        answer(*r, done ? port::transfer_end::done : port::transfer_end::failed);
        break;
      case exchange::kind::answer:
        break;
    }
  }
  if (state_ == state::closed) loop_.defer(deliver_);
}

}  // namespace sluice::srp
