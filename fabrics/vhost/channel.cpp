#include "fabrics/vhost/channel.hpp"

#include <algorithm>
#include <utility>

#include "actors/runtime/core.hpp"
#include "actors/wire/big_endian.hpp"
#include "fabrics/vhost/session.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/scsi/outcome_builders.hpp"

namespace sluice::vhost {
namespace {

/// Data-out that goes to the unit along with its command; what is longer is asked for.
constexpr std::uint64_t max_immediate_bytes = 64 * kib;

/// Whether the data-out are blocks that the medium takes as they are. All else is read by the gateway, and copied
/// before that: the guest may change its memory at any time.
bool writes_blocks(const port::task& t) {
  switch (t.cdb[0]) {
    case 0x0a:  // WRITE (6), (10), (12), (16)
    case 0x2a:
    case 0xaa:
    case 0x8a:
      return true;
    default:
      return false;
  }
}

}  // namespace

channel::channel(session& of, const port::core_endpoint& where, unsigned number, std::uint32_t max_commands)
    : session_(of),
      gateway_(*where.gateway),
      loop_(where.core->loop()),
      number_(number),
      max_commands_(std::max(1u, max_commands)) {}

channel::~channel() = default;

// -- the nexus and its end -------------------------------------------------------------------------------------------

void channel::open(const port::login& who, std::uint64_t nexus_id) {
  state_ = state::opening;
  const auto self = session_.shared_from_this();
  share_ = memory::share::open(loop_.buffers().accounts());
  auto then = [this, self](result<std::unique_ptr<port::nexus>> how) { opened(std::move(how)); };
  if (!share_) return then(fail(errc::no_space, "no memory for another session"));
  port::channel_events events{[this, self](port::loss_reason why) { session_.end(why); },
                              [this, self](const port::unit_event& what) { session_.on_event(what); }};
  if (nexus_id == 0)
    gateway_.open(who, std::move(events), std::move(then));
  else
    gateway_.join(nexus_id, who, std::move(events), std::move(then));
}

void channel::opened(result<std::unique_ptr<port::nexus>> how) {
  if (!how) {
    state_ = state::gone;
    return session_.on_opened(number_, tl::unexpected(how.error()));
  }
  nexus_ = std::move(*how);
  state_ = state::open;
  session_.on_opened(number_, nexus_->identity()->id);
  if (ending_) close();  // asked for meanwhile
}

void channel::end(port::loss_reason why) {
  if (!ending_) ending_ = why;
  if (state_ == state::open) close();
}

/// What runs ends without a response: with the record of requests in flight, whoever comes next does it again.
void channel::close() {
  if (state_ != state::open) return;
  state_ = state::closing;
  const auto self = session_.shared_from_this();
  halting_ = queues_.size();
  for (const auto& [index, each] : queues_)
    each->halt([this, self] {
      --halting_;
      loop_.defer(deliver_);
    });
  nexus_->close(*ending_, [this, self] {
    state_ = state::closed;
    loop_.defer(deliver_);
  });
}

void channel::maybe_gone() {
  if (state_ != state::closed || active_ > 0 || halting_ > 0 || !managed_.empty() || !inbox_.empty() ||
      deliver_.queued_)
    return;
  state_ = state::gone;
  nexus_.reset();
  share_ = {};
  session_.on_gone();
}

// -- queues ----------------------------------------------------------------------------------------------------------

queue* channel::find_queue(unsigned index) {
  const auto found = queues_.find(index);
  return found == queues_.end() ? nullptr : found->second.get();
}

bool channel::set_queue(unsigned index, const ring_setup& wanted) {
  if (state_ != state::open || ending_) return true;
  std::unique_ptr<queue>& at = queues_[index];
  queue::user& us = *this;
  if (!at) at = std::make_unique<queue>(loop_, us, index, index == session::event_queue);
  return at->set(wanted);
}

void channel::stop_queue(unsigned index, std::function<void(std::uint16_t next)> stopped) {
  queue* const which = find_queue(index);
  if (!which || state_ != state::open || ending_) return stopped(0);
  which->stop(std::move(stopped));
}

// -- commands --------------------------------------------------------------------------------------------------------

channel::running& channel::fresh() {
  if (free_.empty()) free_.push_back(&all_.emplace_back());
  running& r = *free_.back();
  free_.pop_back();
  ++active_;
  port::task& t = r.task;
  t.nexus = nexus_->identity();
  t.fabric = this;
  t.fabric_private = &r;
  t.payer = &*share_;
  t.tag = ++serial_ << 8 | (number_ & 0xff);
  t.arrived_ns = loop_.now_ns();
  return r;
}

void channel::give_back(running& r) {
  r.task.reset();
  r.by = nullptr;
  r.memory.reset();
  r.readable.clear();
  r.writable.clear();
  r.room = r.sent = 0;
  r.in_place = false;
  r.verdict.reset();
  r.own = nullptr;
  r.own_data.clear();
  free_.push_back(&r);
  if (active_-- == max_commands_)
    for (const auto& [index, each] : queues_) each->room();  // whichever of them had to wait
}

void channel::on_room(queue&) noexcept {
  session_.send_events();
}

void channel::take(queue& from, chain& what) noexcept {
  if (from.index() == session::control_queue) return session_.on_control(from, what);
  running& r = fresh();
  r.by = &from;
  r.head = what.head;
  r.memory = from.memory();
  r.readable.swap(what.readable);
  r.writable.swap(what.writable);
  r.out = piece_cursor(r.readable);
  r.in = piece_cursor(r.writable);
  std::array<std::uint8_t, command_header::bytes> head;
  if (what.readable_bytes < head.size() || what.writable_bytes < command_response::bytes) {
    const std::uint16_t taken = r.head;  // nowhere to say what is wrong
    give_back(r);
    return from.give_back(taken, 0);
  }
  r.out.read(head);  // copied: the guest may change it while it is looked at
  const command_header asked = decode_command(head);
  r.in.skip(command_response::bytes);
  r.room = what.writable_bytes - command_response::bytes;
  r.guest_tag = asked.tag;
  if (!asked.where || asked.where->target != 0) {
    command_response said;
    said.code = response_code::bad_target;
    return respond(r, said);
  }
  port::task& t = r.task;
  t.lun = asked.where->lun;
  t.attribute = asked.attribute;
  t.set_cdb(const_bytes(asked.cdb).first(asked.cdb_length()));
  t.expected_data_out = what.readable_bytes - head.size();
  t.expected_data_in = r.room;
  r.in_place = writes_blocks(t);
  if (r.in_place && t.expected_data_out <= max_immediate_bytes) lend_data_out(r, t.expected_data_out);
  nexus_->submit(t);
}

/// Data-out that the unit takes from where they lie.
void channel::lend_data_out(running& r, std::uint64_t until) {
  port::task& t = r.task;
  while (t.data_out_end < until) {
    const bytes piece = r.out.take(until - t.data_out_end);
    t.data_out.push_back(memory::slice::borrow(piece.data(), static_cast<std::uint32_t>(piece.size())));
    t.data_out_end += piece.size();
  }
}

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
      return fetch(r);
    case port::task_event::put_data:
      if (!ending_) copy_data_in(r);
      t.data_in.clear();
      t.ended = ending_ ? port::transfer_end::failed : port::transfer_end::done;
      return t.unit->post(t, port::task_event::data_sent);
    case port::task_event::take_back:
      return;  // our answer is always on its way already
    case port::task_event::complete:
      return finish(r);
    default:
      SLUICE_CHECK(!"an event for logical units");
  }
}

void channel::fetch(running& r) {
  port::task& t = r.task;
  const std::uint64_t end = t.wanted_offset + t.wanted_length;
  t.ended = ending_ ? port::transfer_end::failed : port::transfer_end::done;
  if (!ending_ && end > t.expected_data_out) {  // the command wants more than there is
    r.verdict = scsi::outcomes::aborted(scsi::asc::not_enough_unsolicited_data);
    t.ended = port::transfer_end::failed;
  }
  if (t.ended == port::transfer_end::done && r.in_place) lend_data_out(r, end);
  while (t.ended == port::transfer_end::done && t.data_out_end < end) {
    const auto octets =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(end - t.data_out_end, memory::pool::largest));
    memory::slice part = loop_.buffers().take(octets, *share_);
    if (part.empty()) {
      r.verdict = scsi::outcomes::task_set_full();
      t.ended = port::transfer_end::failed;
      break;
    }
    part = part.sub(0, octets);
    r.out.read(part.span());
    t.data_out.push_back(std::move(part));
    t.data_out_end += octets;
  }
  t.unit->post(t, port::task_event::data_arrived);
}

/// Data-in to where the guest wants them; what it has no room for is left out.
void channel::copy_data_in(running& r) {
  for (const memory::slice& part : r.task.data_in) {
    const_bytes left = part.span();
    left = left.first(std::min<std::uint64_t>(left.size(), r.room - r.sent));
    r.sent += left.size();
    while (!left.empty()) {
      const bytes to = r.in.take(left.size());
      write_guest(r, to, left.first(to.size()));
      left = left.subspan(to.size());
    }
  }
}

void channel::write_guest(running& r, bytes at, const_bytes from) {
  std::memcpy(at.data(), from.data(), from.size());
  r.by->wrote({at.data(), at.size()});
}

void channel::finish(running& r) {
  if (r.own) {
    for (const memory::slice& part : r.task.data_in)
      r.own_data.insert(r.own_data.end(), part.data(), part.data() + part.size());
    const auto tell = std::move(r.own);
    tell(r);
    return give_back(r);
  }
  const port::task& t = r.task;
  command_response said;
  scsi::encoded_sense sense;
  const auto silent_as = code_of(t.silenced);
  if (ending_ || (!silent_as && !r.verdict)) {  // the nexus ends, and with it the session, if it has not heard yet
    queue& by = *r.by;
    give_back(r);
    return by.keep();
  }
  if (t.silent() && !r.verdict) {
    said.code = *silent_as;
    return respond(r, said);
  }
  const scsi::outcome& how = r.verdict ? *r.verdict : t.outcome;
  said.status = how.status;
  if (how.status == scsi::status::check_condition) {
    sense = t.encode_sense(how.sense);
    said.sense = sense.span();
  }
  if (!r.verdict) copy_data_in(r);
  const port::residual out = t.residual_out(), in = t.residual_in();
  if (r.verdict) {
    said.residual = static_cast<std::uint32_t>(t.expected_data_out + t.expected_data_in);  // nothing of it counts
  } else if (out.over || in.over) {
    said.code = response_code::overrun;
  } else {
    said.residual = static_cast<std::uint32_t>(in.under ? in.octets : out.octets);
  }
  respond(r, said);
}

void channel::respond(running& r, const command_response& said) {
  const auto octets = encode(said);
  piece_cursor at(r.writable);
  for (const_bytes left(octets); !left.empty();) {
    const bytes to = at.take(left.size());
    write_guest(r, to, left.first(to.size()));
    left = left.subspan(to.size());
  }
  queue& by = *r.by;
  const std::uint16_t head = r.head;
  const auto written = static_cast<std::uint32_t>(command_response::bytes + r.sent);
  give_back(r);
  by.give_back(head, written);
}

// -- task management, and what we ask ourselves ----------------------------------------------------------------------

std::optional<std::uint64_t> channel::find_tag(port::lun lun, std::uint64_t guest_tag) const {
  for (const running& each : all_)
    if (each.by && each.guest_tag == guest_tag && port::same_unit(each.task.lun, lun)) return each.task.tag;
  return std::nullopt;
}

void channel::manage(port::task_function function, port::lun lun, std::uint64_t referenced_tag,
                     std::function<void(port::task_response)> answered) {
  if (state_ != state::open || ending_) return answered(port::task_response::rejected);
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

void channel::ask_luns(std::function<void(std::optional<std::vector<port::lun>>)> told) {
  if (state_ != state::open || ending_) return told(std::nullopt);
  constexpr std::uint32_t room = 128 * kib + 64;  // more LUNs than a target has
  constexpr std::size_t header_bytes = 8;
  running& r = fresh();
  std::array<std::uint8_t, 16> cdb{0xa0};  // REPORT LUNS [SPC-4 6.33]
  wire::store32(cdb, 6, room);
  r.task.set_cdb(cdb);
  r.task.expected_data_in = room;
  r.own = [told = std::move(told)](running& done) {
    const_bytes data = done.own_data;
    if (done.task.silent() || done.task.outcome.status != scsi::status::good || data.size() < header_bytes)
      return told(std::nullopt);
    std::vector<port::lun> all;
    for (data = data.subspan(header_bytes); data.size() >= 8; data = data.subspan(8))
      all.push_back(wire::load64(data, 0));
    told(std::move(all));
  };
  nexus_->submit(r.task);
}

}  // namespace sluice::vhost
