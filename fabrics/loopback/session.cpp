#include "fabrics/loopback/session.hpp"

#include <algorithm>
#include <utility>

#include "fabrics/loopback/port_state.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/scsi/outcome_builders.hpp"

namespace sluice::loopback {
namespace {

constexpr unsigned any_thread = ~0u;  // no channel: called from wherever

scsi::transport_id name_of(const port::port_descriptor& at, const session::initiator& who) {
  return {at.protocol, at.names_initiators ? who.name : at.id.name, who.extension};
}

std::int64_t signed_octets(const port::residual& r) {
  const auto octets = static_cast<std::int64_t>(r.octets);
  return r.under ? -octets : octets;
}

/// Of the way that the command went; when the initiator had announced the other way, what it could not move.
std::int64_t residual_of(const port::task& t) {
  const port::residual out = t.residual_out(), in = t.residual_in();
  return signed_octets(out.over || !(in.over || in.under) ? out : in);
}

/// What the initiator was ready for.
std::int64_t signed_room(const command& c) {
  return static_cast<std::int64_t>(c.room != 0 ? c.room : c.data_out.size());
}

}  // namespace

session::session(std::shared_ptr<port_state> at, initiator who, unsigned home, handler& tell)
    : port_(std::move(at)),
      who_(std::move(who)),
      home_(home),
      loop_(port_->cores.at(home).core->loop()),
      handler_(tell) {}

// -- login and its end -------------------------------------------------------------------------------------------

void session::open() {
  at_home(any_thread, [self = shared_from_this()] {
    self->self_ = self;
    if (self->ending_) return self->opened(fail(errc::closed, "the port stops"));
    port::login wish;
    wish.port = self->port_->descriptor.id;
    wish.initiator = name_of(self->port_->descriptor, self->who_);
    wish.peer = "in this process";
    port::gateway& gateway = *self->port_->cores[self->home_].gateway;
    const auto access = gateway.check(wish.port, wish.initiator.name);
    if (!access || !access->allowed)
      return self->opened(fail(errc::permission, "the port does not admit " + wish.initiator.name));
    gateway.open(
        wish, [self](port::loss_reason why) { self->begin_end(why); },
        [self](result<std::unique_ptr<port::nexus>> how) { self->opened(std::move(how)); });
  });
}

void session::opened(result<std::unique_ptr<port::nexus>> how) {
  if (how) {
    nexus_ = std::move(*how);
    handler_.on_up({});
    if (ending_) begin_end(*ending_);  // asked for meanwhile
    return;
  }
  const std::shared_ptr<session> last = std::exchange(self_, nullptr);
  closed_ = true;
  handler_.on_up(tl::unexpected(how.error()));
  port_->left(*this);
}

void session::end(port::loss_reason why) {
  at_home(any_thread, [self = shared_from_this(), why] { self->begin_end(why); });
}

void session::log_out(unsigned channel) {
  at_home(channel, [self = shared_from_this()] { self->begin_end(port::loss_reason::logout); });
}

/// The unit takes back what a command withholds, so nothing here waits for the initiator.
void session::begin_end(port::loss_reason why) {
  if (closing_ || closed_) return;
  if (!ending_) ending_ = why;
  if (!nexus_) return;  // opened() comes back here
  closing_ = true;
  nexus_->close(*ending_, [self = shared_from_this()] {
    self->closed_ = true;
    self->loop_.defer(self->deliver_);
  });
}

void session::maybe_down() {
  if (!closed_ || !nexus_ || !running_.empty() || !managed_.empty() || !inbox_.empty() || handing_back_) return;
  nexus_.reset();
  const std::shared_ptr<session> last = std::exchange(self_, nullptr);
  handler_.on_down(*ending_);
  port_->left(*this);
}

// -- between cores -------------------------------------------------------------------------------------------------

void session::at_home(unsigned channel, std::function<void()> work) {
  if (channel == home_) return work();
  loop_.post(std::move(work));
}

void session::hand_back(unsigned channel, std::function<void()> tell) {
  ++handing_back_;
  port_->cores.at(channel).core->loop().post([self = shared_from_this(), channel, tell = std::move(tell)] {
    tell();
    self->at_home(channel, [self] {
      --self->handing_back_;
      self->maybe_down();
    });
  });
}

// -- commands ------------------------------------------------------------------------------------------------------

void session::submit(unsigned channel, command& what) {
  at_home(channel, [self = shared_from_this(), channel, &what] { self->start(channel, what); });
}

void session::start(unsigned channel, command& what) {
  what.answered = what.asked = false;
  what.sense.clear();
  what.data_in.clear();
  what.residual = 0;
  if (!nexus_ || ending_) return refuse(channel, what, std::nullopt);
  if (what.cdb.empty() || what.cdb.size() > port::max_cdb_octets)
    return refuse(channel, what, scsi::outcomes::invalid_field_in_cdb(0));
  if (free_.empty()) free_.push_back(&all_.emplace_back());
  running& r = *free_.back();
  free_.pop_back();
  r.subject = &what;
  r.channel = channel;
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
  SLUICE_CHECK(running_.emplace(&what, &r).second);  // submitted twice
  nexus_->submit(t);
}

/// Ends a command that the unit never sees: with an outcome, or without a response.
void session::refuse(unsigned channel, command& what, std::optional<scsi::outcome> why) {
  if (why) {
    const scsi::encoded_sense sense = scsi::encode(why->sense, false);
    what.answered = true;
    what.status = why->status;
    what.sense.assign(sense.data.begin(), sense.data.begin() + sense.size);
  }
  hand_back(channel, [&what] { what.on_done(); });
}

void session::resume(unsigned channel, command& what) {
  at_home(channel, [self = shared_from_this(), &what] {
    const auto found = self->running_.find(&what);
    if (found == self->running_.end()) return;
    what.withholds = false;
    if (found->second->with != holder::unit) self->answer(*found->second, port::transfer_end::done);
  });
}

void session::lose(unsigned channel, command& what) {
  at_home(channel, [self = shared_from_this(), &what] {
    const auto found = self->running_.find(&what);
    if (found == self->running_.end() || found->second->lost) return;
    running& r = *found->second;
    r.lost = true;
    if (r.with != holder::unit) return self->answer(r, port::transfer_end::failed);
    // Without a unit the target itself has answered, and that is on its way.
    if (r.task.unit) r.task.unit->post(r.task, port::task_event::transport_abort);
  });
}

void session::manage(unsigned channel, port::task_function function, port::lun lun, std::uint64_t referenced_tag,
                     std::function<void(port::task_response)> answered) {
  auto made = std::make_shared<managed>();
  made->channel = channel;
  made->request.function = function;
  made->request.lun = lun;
  made->request.referenced_tag = referenced_tag;
  made->answered = std::move(answered);
  at_home(channel, [self = shared_from_this(), made] {
    port::task_management& request = made->request;
    if (!self->nexus_ || self->ending_) {
      request.response = port::task_response::rejected;
      return self->hand_back(made->channel, [made] { made->answered(made->request.response); });
    }
    self->managed_.emplace(&request, made);
    request.reply_to = self.get();
    request.nexus = self->nexus_->identity();
    self->nexus_->manage(request);
  });
}

// -- from the unit -------------------------------------------------------------------------------------------------

void session::post(port::task& subject, port::task_event event) noexcept {
  inbox_.push_back({&subject, event, nullptr});
  loop_.defer(deliver_);
}

void session::post(port::task_management& request) noexcept {
  inbox_.push_back({nullptr, {}, &request});
  loop_.defer(deliver_);
}

void session::deliver() noexcept {
  const std::shared_ptr<session> alive = shared_from_this();
  for (std::size_t left = inbox_.size(); left > 0; --left) {
    const note next = inbox_.front();
    inbox_.pop_front();
    if (next.task) {
      handle(*next.task, next.event);
      continue;
    }
    const auto found = managed_.find(next.answer);
    const std::shared_ptr<managed> done = std::move(found->second);
    managed_.erase(found);
    hand_back(done->channel, [done] { done->answered(done->request.response); });
  }
  maybe_down();
}

void session::handle(port::task& t, port::task_event event) {
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
void session::answer(running& r, port::transfer_end how) {
  const bool fetching = r.with == holder::fetching;
  r.subject->asked = false;
  if (how == port::transfer_end::done && fetching) how = fetch(r);
  if (how == port::transfer_end::done && !fetching) take_data_in(r);
  if (!fetching) r.task.data_in.clear();
  r.with = holder::unit;
  r.task.ended = how;
  r.task.unit->post(r.task, fetching ? port::task_event::data_arrived : port::task_event::data_sent);
}

port::transfer_end session::fetch(running& r) {
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

void session::take_data_in(running& r) {
  std::vector<std::uint8_t>& to = r.subject->data_in;
  for (const memory::slice& part : r.task.data_in) {
    const std::uint64_t left = r.subject->room - std::min<std::uint64_t>(r.subject->room, to.size());
    to.insert(to.end(), part.data(), part.data() + std::min<std::uint64_t>(part.size(), left));
  }
}

void session::finish(running& r) {
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
  const unsigned channel = r.channel;
  running_.erase(&done);
  r.task.reset();
  r.with = holder::unit;
  r.lost = false;
  r.verdict.reset();
  free_.push_back(&r);
  hand_back(channel, [&done] { done.on_done(); });
}

}  // namespace sluice::loopback
