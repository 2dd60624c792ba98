#include "gateway/relay/incoming_link.hpp"

#include <algorithm>

#include "actors/observe/log.hpp"

namespace sluice::relay {

using port::task_event;
using port::transfer_end;

namespace {

/// That one link may have under way; a peer's own limits are far below.
constexpr std::size_t max_commands = 8192;
constexpr std::size_t max_attachments = 65536;
/// Within which a peer says who it is.
constexpr std::uint64_t greeting_ns = 5 * ns_per_s;

}  // namespace

struct served_command {
  port::task task;
  std::uint32_t number = 0;
  std::uint32_t room = 0;  // that the peer has for data-in
  /// Who must do something before it goes on.
  enum class party : std::uint8_t {
    unit,
    data,     // the peer, which owes data-out
    room,     // the peer, which takes data-in
    memory,   // it waits for memory for what it is to ask for
    blocked,  // the link: what it has to say is too much at this time
  } with = party::unit;
  bool is_complete = false;  // blocked: with its outcome, not with put_data
  bool submitted = false;    // its first data are all there
  memory::slice place;       // where wanted data go
};

served_pool::served_pool() = default;
served_pool::~served_pool() = default;

served_command& served_pool::take() {
  if (free_.empty()) return all_.emplace_back();
  served_command& c = *free_.back();
  free_.pop_back();
  return c;
}

void served_pool::give(served_command& done) {
  done.task.reset();
  done.place = {};
  done.with = served_command::party::unit;
  done.is_complete = done.submitted = false;
  free_.push_back(&done);
}

incoming_link::incoming_link(surroundings around, std::uint64_t number, reactor::handle connection,
                             const secret& shared)
    : loop_(around.loop),
      all_attachments_(around.attachments),
      pool_(around.pool),
      host_(around.host),
      number_(number),
      stream_(around.loop, connection, secure_channel::side::answers, shared, static_cast<frame_stream::user&>(*this)) {
  loop_.arm(patience_, greeting_ns);
  stream_.start();
}

incoming_link::~incoming_link() {
  SLUICE_CHECK(gone_ && commands_.empty() && attachments_.empty() && !run_.queued_);
  loop_.buffers().accounts().forget(hunger_);
}

void incoming_link::welcome() {
  if (broken_) return;
  welcome_ = true;
  stream_.send(frame::welcome, 0, {});
}

served_command* incoming_link::find(std::uint32_t number) const {
  const auto found = commands_.find(number);
  return found == commands_.end() ? nullptr : found->second;
}

// -- frames ----------------------------------------------------------------------------------------------------------

result<bytes> incoming_link::on_frame(const header& h, const_bytes body) noexcept {
  const auto out_of_place = [] { return fail(errc::corrupt, "the peer sent a frame out of its place"); };
  if (h.frame == frame::hello) {
    if (auto done = greet(body); !done) return tl::unexpected(done.error());
    return bytes{};
  }
  if (h.frame == frame::ping && greeted_) {
    stream_.send(frame::pong, 0, {});
    return bytes{};
  }
  if (!welcome_) return out_of_place();
  switch (h.frame) {
    case frame::open:
      if (auto done = attach(h.number, body); !done) return tl::unexpected(done.error());
      return bytes{};
    case frame::close:
      detach_one(h.number);
      return bytes{};
    case frame::command:
      return begin(h, body);
    case frame::data:
      return take_data(h);
    case frame::room: {
      const auto told = decode_room(body);
      if (!told) return tl::unexpected(told.error());
      take_room(h.number, told->room);
      return bytes{};
    }
    case frame::end:
      end(h.number);
      return bytes{};
    default:
      return out_of_place();
  }
}

result<void> incoming_link::greet(const_bytes body) {
  const auto hello = decode_hello(body);
  if (!hello) return tl::unexpected(hello.error());
  if (hello->version != version)
    return fail(errc::unsupported, "the peer speaks version " + std::to_string(hello->version) + " of links");
  if (std::exchange(greeted_, true)) return fail(errc::corrupt, "the peer greets twice");
  share_ = memory::share::open(loop_.buffers().accounts());
  if (!share_) return fail(errc::no_space, "there is no memory for another link");
  loop_.disarm(patience_);
  gateway_ = hello->gateway;
  SLUICE_LOG(info, "relay", "a gateway sends commands of its initiators", {"gateway", gateway_}, {"core", hello->core});
  host_.on_greeting(*this, hello->gateway, hello->core);
  return {};
}

result<void> incoming_link::attach(std::uint32_t number, const_bytes body) {
  const auto wanted = decode_open(body);
  if (!wanted) return tl::unexpected(wanted.error());
  // A nexus is its own gateway's: its number says so.
  if (gateway_of(wanted->nexus) != gateway_ || attachments_.contains(number) || attachments_.size() >= max_attachments)
    return fail(errc::corrupt, "the peer opens what it may not");
  auto nexus = std::make_shared<port::i_t_nexus>();
  nexus->id = wanted->nexus;
  nexus->initiator = wanted->initiator;
  nexus->target_name = wanted->target;
  nexus->relative_target_port = wanted->relative_port;
  nexus->port.id.fabric = "relay";
  nexus->caps.may_borrow = false;
  nexus->caps.max_get_bytes = max_payload;
  nexus->relayed = true;
  attachments_.emplace(number, &all_attachments_.open(wanted->unit, std::move(nexus)));
  return {};
}

void incoming_link::detach_one(std::uint32_t number) {
  auto left = attachments_.extract(number);
  if (!left.empty()) all_attachments_.close(*left.mapped());
}

/// It is not done here, and the peer may say so to its initiator.
void incoming_link::refuse(std::uint32_t number) {
  ended_body answer;
  answer.not_here = true;
  stream_.send(frame::ended, number, encode(answer));
}

result<bytes> incoming_link::begin(const header& h, const_bytes body) {
  const auto wanted = decode_command(body);
  if (!wanted) return tl::unexpected(wanted.error());
  const auto attachment = attachments_.find(wanted->attachment);
  if (attachment == attachments_.end() || commands_.contains(h.number) || h.payload > wanted->expected_out)
    return fail(errc::corrupt, "the peer sent a command that cannot be");
  access::unit_endpoint* const unit = attachment->second->endpoint(loop_.index());
  memory::slice place;
  if (h.payload != 0) place = loop_.buffers().take(h.payload, *share_);
  receiving_ = nullptr;
  if (unit == nullptr || commands_.size() >= max_commands || (h.payload != 0 && place.empty())) {
    refuse(h.number);
    return bytes{};
  }
  served_command& c = pool_.take();
  c.number = h.number;
  c.room = wanted->room;
  port::task& t = c.task;
  t.nexus = attachment->second->nexus;
  t.fabric = this;
  t.unit = unit;
  t.tag = number_ << 32 | h.number;
  t.attribute = wanted->attribute;
  t.set_cdb(wanted->cdb);
  t.expected_data_out = wanted->expected_out;
  t.expected_data_in = wanted->expected_in;
  t.arrived_ns = loop_.now_ns();
  t.agreed_epoch = wanted->epoch;
  t.payer = &*share_;
  t.fabric_private = &c;
  commands_.emplace(h.number, &c);
  receiving_ = &c;
  place_ = h.payload != 0 ? place.sub(0, h.payload) : memory::slice{};
  return place_.span();
}

result<bytes> incoming_link::take_data(const header& h) {
  served_command* c = find(h.number);
  receiving_ = nullptr;
  if (c == nullptr || c->with != served_command::party::data) return bytes{};  // it was taken back meanwhile
  if (h.payload != c->task.wanted_length) return fail(errc::corrupt, "the peer sent other data than were wanted");
  receiving_ = c;
  place_ = c->place.sub(0, h.payload);  // stays as long as the payload comes, whatever becomes of the command
  return place_.span();
}

void incoming_link::on_payload(const header& h) noexcept {
  served_command* const c = std::exchange(receiving_, nullptr);
  memory::slice place = std::move(place_);
  place_ = {};
  if (c == nullptr) return;
  port::task& t = c->task;
  if (h.payload != 0) {
    t.data_out_end += h.payload;
    t.data_out.push_back(std::move(place));
  }
  if (h.frame == frame::command) {
    c->submitted = true;
    t.unit->post(t, task_event::submit);
  } else if (h.frame == frame::data) {
    c->with = served_command::party::unit;
    c->place = {};
    t.ended = transfer_end::done;
    t.unit->post(t, task_event::data_arrived);
  }
}

void incoming_link::take_room(std::uint32_t number, std::uint32_t room) {
  served_command* c = find(number);
  if (c == nullptr || c->with != served_command::party::room) return;
  c->room = room;
  fail_transfer(*c, transfer_end::done);
}

void incoming_link::end(std::uint32_t number) {
  served_command* c = find(number);
  if (c == nullptr) return;
  if (c->with == served_command::party::unit)
    c->task.unit->post(c->task, task_event::transport_abort);
  else if (!c->is_complete)
    fail_transfer(*c, transfer_end::failed);
}

// -- what units say --------------------------------------------------------------------------------------------------

void incoming_link::post(port::task& subject, task_event event) noexcept {
  events_.emplace_back(static_cast<served_command*>(subject.fabric_private), event);
  loop_.defer(run_);
}

void incoming_link::run_events() noexcept {
  for (const auto& [c, event] : std::exchange(events_, {})) handle(*c, event);
  feed();
  if (broken_) settle();
}

void incoming_link::handle(served_command& c, task_event event) noexcept {
  using party = served_command::party;
  switch (event) {
    case task_event::get_data:
      c.with = party::data;
      return broken_ ? fail_transfer(c, transfer_end::failed) : want_data(c);
    case task_event::put_data:
      c.with = party::room;
      return broken_ ? fail_transfer(c, transfer_end::failed) : send_data(c);
    case task_event::take_back:
      if (c.with != party::unit) fail_transfer(c, transfer_end::taken_back);
      return;
    case task_event::complete:
      c.is_complete = true;
      return complete(c);
    default:
      return;
  }
}

/// Ends a get_data or put_data, of whatever stage.
void incoming_link::fail_transfer(served_command& c, transfer_end how) noexcept {
  using party = served_command::party;
  const bool of_data_out = c.with == party::data || c.with == party::memory;
  std::erase(hungry_, &c);
  std::erase(blocked_, &c);
  if (receiving_ == &c) receiving_ = nullptr;  // place_ keeps what comes off other memory
  c.place = {};
  c.with = party::unit;
  c.task.ended = how;
  if (!of_data_out) c.task.data_in.clear();
  c.task.unit->post(c.task, of_data_out ? task_event::data_arrived : task_event::data_sent);
}

void incoming_link::want_data(served_command& c) noexcept {
  port::task& t = c.task;
  c.place = loop_.buffers().take(t.wanted_length, *share_);
  if (c.place.empty()) {
    c.with = served_command::party::memory;
    hungry_.push_back(&c);
    loop_.buffers().accounts().wait(hunger_);
    return;
  }
  c.with = served_command::party::data;
  stream_.send(frame::want, c.number, encode(want_body{t.wanted_offset, t.wanted_length}));
}

/// Those that came first get memory first.
void incoming_link::feed() noexcept {
  if (hungry_.empty() || broken_) return;
  for (served_command* c : std::exchange(hungry_, {})) want_data(*c);
}

namespace {

std::vector<iovec> parts_of(const port::task& t, std::uint64_t& octets) {
  std::vector<iovec> parts;
  octets = 0;
  for (const memory::slice& each : t.data_in) {
    parts.push_back(each.iov());
    octets += each.size();
  }
  return parts;
}

}  // namespace

void incoming_link::send_data(served_command& c) noexcept {
  if (stream_.congested()) {
    c.with = served_command::party::blocked;
    blocked_.push_back(&c);
    return;
  }
  std::uint64_t size;
  const std::vector<iovec> parts = parts_of(c.task, size);
  if (size > c.room) return fail_transfer(c, transfer_end::failed);  // the peer has made no room: its own fault
  c.with = served_command::party::room;
  stream_.send(frame::data_in, c.number, {}, parts.data(), parts.size());
  c.task.data_in.clear();
}

void incoming_link::complete(served_command& c) noexcept {
  if (!broken_ && stream_.congested()) {
    c.with = served_command::party::blocked;
    blocked_.push_back(&c);
    return;
  }
  port::task& t = c.task;
  if (!broken_) {
    ended_body answer;
    answer.not_here = t.silenced == port::silence::not_owned;
    answer.silenced = t.silenced;
    answer.outcome = t.outcome;
    answer.length_out = t.length_out;
    answer.length_in = t.length_in;
    std::uint64_t size;
    std::vector<iovec> parts = parts_of(t, size);
    if (size > c.room && !t.silent()) answer.silenced = port::silence::transfer_failed;  // the peer's own fault
    if (answer.silenced != port::silence::none) parts.clear();
    stream_.send(frame::ended, c.number, encode(answer), parts.data(), parts.size());
  }
  commands_.erase(c.number);
  pool_.give(c);
}

void incoming_link::on_room() noexcept {
  for (served_command* c : std::exchange(blocked_, {})) c->is_complete ? complete(*c) : send_data(*c);
}

// -- the end ---------------------------------------------------------------------------------------------------------

void incoming_link::on_broken(const error& why) noexcept {
  broken_ = true;
  loop_.disarm(patience_);
  receiving_ = nullptr;
  place_ = {};
  if (greeted_)
    SLUICE_LOG(info, "relay", "a gateway's link ended", {"gateway", gateway_}, {"why", why.message});
  else if (why.code == errc::permission)
    SLUICE_LOG(warning, "relay", "somebody without the secret of the cluster came", {"why", why.message});
  std::vector<served_command*> all;
  for (const auto& [number, c] : commands_) all.push_back(c);
  for (served_command* c : all) {
    if (!c->submitted) {
      commands_.erase(c->number);
      pool_.give(*c);
    } else if (c->is_complete && c->with == served_command::party::blocked) {
      complete(*c);
    } else {
      end(c->number);
    }
  }
  blocked_.clear();
  settle();
}

void incoming_link::settle() noexcept {
  if (gone_ || !commands_.empty()) return;
  gone_ = true;
  loop_.buffers().accounts().forget(hunger_);
  for (auto& [number, attachment] : std::exchange(attachments_, {})) all_attachments_.close(*attachment);
  host_.on_gone(*this);
}

}  // namespace sluice::relay
