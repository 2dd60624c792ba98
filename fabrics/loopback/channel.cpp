#include "fabrics/loopback/channel.hpp"

#include <algorithm>
#include <utility>

#include "actors/runtime/core.hpp"
#include "fabrics/loopback/session.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/scsi/outcome_builders.hpp"

namespace sluice::loopback {
namespace {

std::int64_t signed_bytes(const port::residual& r) {
  const auto octets = static_cast<std::int64_t>(r.octets);
  return r.under ? -octets : octets;
}

/// Of the way that the command went; when the initiator had announced the other way, what it could not move.
std::int64_t residual_of(const port::task& t) {
  const port::residual out = t.residual_out(), in = t.residual_in();
  return signed_bytes(out.over || !(in.over || in.under) ? out : in);
}

/// What the initiator was ready for.
std::int64_t signed_room(const command& c) {
  return static_cast<std::int64_t>(c.room != 0 ? c.room : c.data_out.size());
}

}  // namespace

channel::channel(session& of, const port::core_endpoint& where)
    : session_(of), gateway_(*where.gateway), loop_(where.core->loop()) {}

// -- login and its end -------------------------------------------------------------------------------------------

void channel::open(const port::login& who, std::uint64_t nexus_id) {
  state_ = state::opening;
  const auto self = session_.shared_from_this();
  port::channel_events events{[this, self](port::loss_reason why) { session_.on_evicted(why); },
                              [this, self](const port::unit_event& what) { session_.on_event(what); }};
  auto then = [this, self](result<std::unique_ptr<port::nexus>> how) { opened(std::move(how)); };
  if (nexus_id == 0)
    gateway_.open(who, std::move(events), std::move(then));
  else
    gateway_.join(nexus_id, who, std::move(events), std::move(then));
}

void channel::opened(result<std::unique_ptr<port::nexus>> how) {
  if (!how) {
    state_ = state::gone;
    return session_.on_opened(*this, tl::unexpected(how.error()));
  }
  nexus_ = std::move(*how);
  state_ = state::open;
  session_.on_opened(*this, nexus_->identity()->id);
  if (ending_) close();  // asked for meanwhile
}

void channel::end(port::loss_reason why) {
  if (!ending_) ending_ = why;
  if (state_ == state::open) close();
}

void channel::close() {
  if (state_ != state::open) return;
  state_ = state::closing;
  nexus_->close(*ending_, [this, self = session_.shared_from_this()] {
    state_ = state::closed;
    loop_.defer(deliver_);
  });
}

void channel::maybe_gone() {
  if (state_ != state::closed || !running_.empty() || !managed_.empty() || !inbox_.empty() || telling_) return;
  state_ = state::gone;
  nexus_.reset();
  session_.on_gone();
}

/// Tells the initiator in a step of its own.
void channel::later(std::function<void()> tell) {
  ++telling_;
  loop_.post([this, self = session_.shared_from_this(), tell = std::move(tell)] {
    tell();
    --telling_;
    maybe_gone();
  });
}

// -- commands ------------------------------------------------------------------------------------------------------

void channel::submit(command& what) {
  what.answered = what.asked = false;
  what.sense.clear();
  what.data_in.clear();
  what.residual = 0;
  if (state_ != state::open || ending_) return refuse(what, std::nullopt);
  if (what.cdb.empty() || what.cdb.size() > port::max_cdb_bytes)
    return refuse(what, scsi::outcomes::invalid_field_in_cdb(0));
  if (free_.empty()) free_.push_back(&all_.emplace_back());
  running& r = *free_.back();
  free_.pop_back();
  r.subject = &what;
  port::task& t = r.task;
  t.nexus = nexus_->identity();
  t.fabric = this;
  t.fabric_private = &r;
  t.lun = what.lun;
  t.tag = what.tag;
  t.attribute = what.attribute;
  t.set_cdb(what.cdb);
  t.expected_data_out = what.length_known || what.data_out.empty() ? what.data_out.size() : port::unknown_length;
  t.expected_data_in = what.length_known || what.room == 0 ? what.room : port::unknown_length;
  t.arrived_ns = loop_.now_ns();
  r.taken = 0;
  what.data_in.resize(what.room);
  for (std::uint64_t at = 0; at < what.room; at += memory::pool::largest)
    t.destination.push_back(memory::slice::borrow(
        what.data_in.data() + at,
        static_cast<std::uint32_t>(std::min<std::uint64_t>(memory::pool::largest, what.room - at))));
  SLUICE_CHECK(running_.emplace(&what, &r).second);  // submitted twice
  nexus_->submit(t);
}

/// Ends a command that the unit never sees: with an outcome, or without a response.
void channel::refuse(command& what, std::optional<scsi::outcome> why) {
  if (why) {
    const scsi::encoded_sense sense = scsi::encode(why->sense, false);
    what.answered = true;
    what.status = why->status;
    what.sense.assign(sense.data.begin(), sense.data.begin() + sense.size);
  }
  later([&what] { what.on_done(); });
}

void channel::resume(command& what) {
  const auto found = running_.find(&what);
  if (found == running_.end()) return;
  what.withholds = false;
  if (found->second->with != holder::unit) answer(*found->second, port::transfer_end::done);
}

void channel::lose(command& what) {
  const auto found = running_.find(&what);
  if (found == running_.end() || found->second->lost) return;
  running& r = *found->second;
  r.lost = true;
  if (r.with != holder::unit) return answer(r, port::transfer_end::failed);
  // Without a unit the target itself has answered, and that is on its way.
  if (r.task.unit) r.task.unit->post(r.task, port::task_event::transport_abort);
}

void channel::manage(port::task_function function, port::lun lun, std::uint64_t referenced_tag,
                     std::function<void(port::task_response)> answered) {
  if (state_ != state::open || ending_)
    return later([answered = std::move(answered)] { answered(port::task_response::rejected); });
  auto made = std::make_unique<managed>();
  port::task_management& request = made->request;
  request.function = function;
  request.lun = lun;
  request.referenced_tag = referenced_tag;
  request.reply_to = this;
  request.nexus = nexus_->identity();
  made->answered = std::move(answered);
  managed_.emplace(&request, std::move(made));
  nexus_->manage(request);
}

// -- from the unit -------------------------------------------------------------------------------------------------

void channel::post(port::task& subject, port::task_event event) noexcept {
  inbox_.push_back({&subject, event, nullptr});
  loop_.defer(deliver_);
}

void channel::post(port::task_management& request) noexcept {
  inbox_.push_back({nullptr, {}, &request});
  loop_.defer(deliver_);
}

void channel::deliver() noexcept {
  const std::shared_ptr<session> alive = session_.shared_from_this();
  for (std::size_t left = inbox_.size(); left > 0; --left) {
    const note next = inbox_.front();
    inbox_.pop_front();
    if (next.task) {
      handle(*next.task, next.event);
      continue;
    }
    const auto done = std::move(managed_.extract(next.answer).mapped());
    done->answered(done->request.response);
  }
  maybe_gone();
}

void channel::handle(port::task& t, port::task_event event) {
  running& r = *static_cast<running*>(t.fabric_private);
  switch (event) {
    case port::task_event::get_data:
    case port::task_event::put_data:
      r.with = event == port::task_event::get_data ? holder::fetching : holder::sending;
      if (r.lost) return answer(r, port::transfer_end::failed);  // it crossed our transport_abort
      r.subject->asked = r.subject->withholds;
      if (!r.subject->withholds) answer(r, port::transfer_end::done);
      return;
    case port::task_event::take_back:
      if (r.with != holder::unit) answer(r, port::transfer_end::taken_back);
      return;
    case port::task_event::complete:
      return finish(r);
    default:
      SLUICE_CHECK(!"an event for logical units");
  }
}

/// Gives the task back to the unit. From here on nothing touches its buffers.
void channel::answer(running& r, port::transfer_end how) {
  const bool fetching = r.with == holder::fetching;
  r.subject->asked = false;
  if (how == port::transfer_end::done && fetching) how = fetch(r);
  if (how == port::transfer_end::done && !fetching) take_data_in(r);
  if (!fetching) r.task.data_in.clear();
  r.with = holder::unit;
  r.task.ended = how;
  r.task.unit->post(r.task, fetching ? port::task_event::data_arrived : port::task_event::data_sent);
}

port::transfer_end channel::fetch(running& r) {
  port::task& t = r.task;
  const std::vector<std::uint8_t>& from = r.subject->data_out;
  const std::uint64_t end = t.wanted_offset + t.wanted_length;
  if (end > from.size()) {  // the command wants more than there is, and could not be told
    r.verdict = scsi::outcomes::aborted(scsi::asc::not_enough_unsolicited_data);
    return port::transfer_end::failed;
  }
  while (t.data_out_end < end) {
    const auto octets =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(end - t.data_out_end, memory::pool::largest));
    memory::slice part = loop_.buffers().take(octets);
    if (part.empty()) {
      r.verdict = scsi::outcomes::task_set_full();
      return port::transfer_end::failed;
    }
    part = part.sub(0, octets);
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(t.data_out_end), octets, part.data());
    t.data_out.push_back(std::move(part));
    t.data_out_end += octets;
  }
  return port::transfer_end::done;
}

/// Most of it lies where it was to go; the rest is copied.
void channel::take_data_in(running& r) {
  for (const memory::slice& part : r.task.data_in) {
    const std::uint64_t octets = std::min<std::uint64_t>(part.size(), r.subject->room - r.taken);
    std::uint8_t* const to = r.subject->data_in.data() + r.taken;
    if (part.data() != to) std::copy_n(part.data(), octets, to);
    r.taken += octets;
  }
}

void channel::finish(running& r) {
  command& done = *r.subject;
  const port::task& t = r.task;
  const bool ours = !r.lost && r.verdict.has_value();
  done.answered = !r.lost && (ours || !t.silent());
  if (done.answered) {
    const scsi::outcome& how = ours ? *r.verdict : t.outcome;
    if (!ours) take_data_in(r);
    done.status = how.status;
    if (how.status == scsi::status::check_condition) {
      const scsi::encoded_sense sense = t.encode_sense(how.sense);
      done.sense.assign(sense.data.begin(), sense.data.begin() + sense.size);
    }
    if (done.length_known) done.residual = ours ? -signed_room(done) : residual_of(t);
  }
  done.data_in.resize(r.taken);
  running_.erase(&done);
  r.task.reset();
  r.with = holder::unit;
  r.lost = false;
  r.verdict.reset();
  free_.push_back(&r);
  done.on_done();
}

}  // namespace sluice::loopback
