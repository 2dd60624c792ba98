#include "gateway/relay/outgoing_link.hpp"

#include <algorithm>

#include "actors/observe/log.hpp"

namespace sluice::relay {

using access::relayed;

namespace {

/// How long a command that was not sent waits for the link; then its initiator does better with another path.
constexpr std::uint64_t patience_ns = ns_per_s;
/// Between attempts; also how often a link with commands is looked at.
constexpr std::uint64_t tick_ns = 200 * ns_per_ms;
/// A peer that says nothing for so long is taken for lost: pings are answered at once, whatever its media do.
constexpr std::uint64_t silence_ns = 3 * ns_per_s;
/// What the former owner has answered is here within that time of its unit's move, if it can be.
constexpr std::uint64_t farewell_ns = 250 * ns_per_ms;

}  // namespace

outgoing_link::outgoing_link(reactor::loop& loop, const neighbours& all, gateway_id to)
    : loop_(loop), all_(all), to_(to) {}

outgoing_link::~outgoing_link() {
  SLUICE_CHECK(at_ == state::closed && !stream_ && !connected_.in_flight() && !tell_.queued_);
}

// -- what the shards ask ---------------------------------------------------------------------------------------------

void outgoing_link::submit(command& c) noexcept {
  while (next_number_ == 0 || commands_.contains(next_number_)) ++next_number_;
  c.number = next_number_++;
  c.at = command::stage::queued;
  c.waits = true;
  c.has_answer = c.ends = false;
  if (commands_.empty()) heard_ns_ = loop_.now_ns();  // nobody has looked since
  commands_.emplace(c.number, &c);
  queue_.push_back(&c);
  wake();
}

void outgoing_link::go_on(command& c) noexcept {
  SLUICE_CHECK(!c.waits);
  c.waits = true;
  if (c.has_answer) return deliver(c);  // its end came meanwhile
  queue_.push_back(&c);
  wake();
}

void outgoing_link::end(command& c) noexcept {
  if (c.ends && c.waits) return;
  c.ends = true;
  const bool waited = std::exchange(c.waits, true);
  if (c.has_answer) {
    if (!waited) deliver(c);
    return;
  }
  std::erase(queue_, &c);
  if (c.at == command::stage::queued) return answer(c, relayed::not_here);
  if (at_ == state::up) stream_->send(frame::end, c.number, {});
}

void outgoing_link::is_over(command& c) noexcept {
  if (c.has_answer) return;
  if (receiving_ == &c) {
    receiving_ = nullptr;
    stream_->drop_payload();
  }
  std::erase(queue_, &c);
  answer(c, c.at == command::stage::sent ? relayed::lost : relayed::not_here);
}

void outgoing_link::forget(std::string_view unit, std::uint64_t nexus_id) noexcept {
  const auto found = attachments_.find({std::string(unit), nexus_id});
  if (found == attachments_.end()) return;
  if (at_ == state::up) stream_->send(frame::close, found->second, {});
  attachments_.erase(found);
}

void outgoing_link::has_moved(std::string_view unit) noexcept {
  std::vector<command*> over;
  for (const auto& [number, c] : commands_) {
    if (c->unit != unit || c->has_answer) continue;
    if (c->at == command::stage::sent && at_ == state::up)
      moved_.push_back(number);
    else
      over.push_back(c);
  }
  for (command* c : over) is_over(*c);
  if (!moved_.empty() && !moved_timer_.armed()) loop_.arm(moved_timer_, farewell_ns);
}

void outgoing_link::on_moved() noexcept {
  for (const std::uint32_t number : std::exchange(moved_, {})) {
    if (command* c = find(number)) is_over(*c);
  }
}

// -- what they are told ----------------------------------------------------------------------------------------------

outgoing_link::command* outgoing_link::find(std::uint32_t number) const {
  const auto found = commands_.find(number);
  return found == commands_.end() ? nullptr : found->second;
}

void outgoing_link::answer(command& c, relayed how) noexcept {
  const bool is_underway = c.waits && c.has_answer;
  c.came = how;
  c.has_answer = true;
  if (is_final(how)) commands_.erase(c.number);
  if (c.waits && !is_underway) deliver(c);
}

void outgoing_link::deliver(command& c) noexcept {
  answered_.push_back(&c);
  loop_.defer(tell_);
}

void outgoing_link::tell() noexcept {
  for (command* c : std::exchange(answered_, {})) {
    c->waits = c->has_answer = false;
    c->on_answer();
  }
}

void outgoing_link::answer_unsent() noexcept {
  std::vector<command*> unsent;
  for (command* c : queue_)
    if (c->at == command::stage::queued) unsent.push_back(c);
  for (command* c : unsent) {
    std::erase(queue_, c);
    answer(*c, relayed::unreachable);
  }
}

// -- the link itself -------------------------------------------------------------------------------------------------

void outgoing_link::wake() noexcept {
  if (!tick_.armed()) loop_.arm(tick_, tick_ns);
  if (at_ == state::up) return send_queued();
  if (at_ == state::idle) connect();
}

void outgoing_link::connect() noexcept {
  if (down_since_ns_ == 0) down_since_ns_ = loop_.now_ns();
  target_ = all_.find(to_);
  if (!target_) {
    is_down("it is no member of the cluster, or takes no links");
    return answer_unsent();
  }
  at_ = state::connecting;
  began_ns_ = loop_.now_ns();
  loop_.connect(connected_, target_->at);
}

void outgoing_link::on_connected(std::int64_t result) noexcept {
  if (closed_) {
    if (result >= 0) loop_.close(static_cast<reactor::handle>(result));
    at_ = state::closed;
    return std::exchange(closed_, {})();
  }
  if (result < 0) return is_down("no connection to " + target_->at.to_string());
  at_ = state::greeting;
  stream_ = std::make_unique<frame_stream>(loop_, static_cast<reactor::handle>(result), secure_channel::side::asks,
                                           target_->secret, static_cast<frame_stream::user&>(*this));
  stream_->start();
}

void outgoing_link::on_secured() noexcept {
  has_greeted_ = true;
  heard_ns_ = loop_.now_ns();
  stream_->send(frame::hello, 0, encode(hello_body{version, all_.own(), static_cast<std::uint16_t>(loop_.index())}));
}

/// What the peer had by the former link is over.
void outgoing_link::greeted() {
  at_ = state::up;
  down_since_ns_ = 0;
  heard_ns_ = loop_.now_ns();
  if (std::exchange(said_so_, false)) SLUICE_LOG(info, "relay", "the link is up again", {"gateway", to_});
  std::vector<command*> former;
  for (const auto& [number, c] : commands_)
    if (c->at == command::stage::sent && !c->has_answer) former.push_back(c);
  for (command* c : former) answer(*c, relayed::lost);
  send_queued();
}

void outgoing_link::is_down(const std::string& why) noexcept {
  at_ = commands_.empty() ? state::idle : state::waiting;
  if (!std::exchange(said_so_, true))
    SLUICE_LOG(warning, "relay", "no link to a gateway that owns units", {"gateway", to_}, {"why", why});
}

void outgoing_link::on_broken(const error& why) noexcept {
  stream_.reset();
  has_greeted_ = false;
  attachments_.clear();
  receiving_ = nullptr;
  std::erase_if(queue_, [](const command* c) { return c->at == command::stage::sent; });
  if (closed_) {
    at_ = state::closed;
    return std::exchange(closed_, {})();
  }
  const bool was_up = at_ == state::up;
  if (down_since_ns_ == 0) down_since_ns_ = loop_.now_ns();
  is_down(why.message);
  if (was_up && !commands_.empty()) connect();
}

/// Only while there are commands, or while it is not up and known to be wanted.
void outgoing_link::on_tick() noexcept {
  const std::uint64_t now_ns = loop_.now_ns();
  if (commands_.empty()) {
    if (at_ == state::waiting) at_ = state::idle;
    return;
  }
  loop_.arm(tick_, tick_ns);
  if (has_greeted_) {  // the peer may keep back its welcome, but answers pings
    if (now_ns - heard_ns_ > silence_ns) return stream_->close(errc::timeout, "the peer says nothing");
    if (now_ns - heard_ns_ > silence_ns / 3) stream_->send(frame::ping, 0, {});
  }
  if (at_ == state::up) return;
  if (now_ns - down_since_ns_ > patience_ns) answer_unsent();
  if (at_ == state::waiting) return connect();
  if (now_ns - began_ns_ <= patience_ns) return;
  if (at_ == state::connecting) loop_.cancel(connected_);
  if (at_ == state::greeting && !has_greeted_) stream_->close(errc::timeout, "the peer does not prove itself");
}

void outgoing_link::close(std::function<void()> done) {
  SLUICE_CHECK(commands_.empty() && !tell_.queued_);
  loop_.disarm(tick_);
  loop_.disarm(moved_timer_);
  if (!stream_ && !connected_.in_flight()) {
    at_ = state::closed;
    return done();
  }
  closed_ = std::move(done);
  if (stream_)
    stream_->close(errc::closed, "this gateway stops");
  else
    loop_.cancel(connected_);
}

// -- frames ----------------------------------------------------------------------------------------------------------

void outgoing_link::on_room() noexcept {
  if (at_ == state::up) send_queued();
}

void outgoing_link::send_queued() noexcept {
  while (!queue_.empty() && !stream_->congested()) {
    command& c = *queue_.front();
    queue_.pop_front();
    c.at == command::stage::queued ? send_first(c) : send_step(c);
  }
}

void outgoing_link::send_first(command& c) {
  const port::task& t = *c.task;
  const port::i_t_nexus& nexus = *t.nexus;
  const auto [at, fresh] = attachments_.emplace(attachment{std::string(c.unit), nexus.id}, next_attachment_);
  if (fresh) {
    ++next_attachment_;
    stream_->send(frame::open, at->second,
                  encode(open_body{std::string(c.unit), nexus.id, nexus.relative_target_port, nexus.initiator,
                                   nexus.target_name}));
  }
  command_body body{
      at->second,  c.epoch, t.expected_data_out, t.expected_data_in, static_cast<std::uint32_t>(c.room.size()),
      t.attribute, {}};
  const const_bytes cdb = t.whole_cdb();
  body.cdb.assign(cdb.begin(), cdb.end());
  encode(body, text_);
  // As much as goes along.
  std::uint64_t left = max_immediate;
  std::size_t count = 0;
  for (iovec& part : c.data_out) {
    part.iov_len = std::min<std::uint64_t>(part.iov_len, left);
    if (part.iov_len == 0) break;
    left -= part.iov_len;
    ++count;
  }
  c.at = command::stage::sent;
  stream_->send(frame::command, c.number, text_, c.data_out.data(), count);
}

void outgoing_link::send_step(command& c) {
  if (c.came == relayed::wants_data)
    return stream_->send(frame::data, c.number, {}, c.data_out.data(), c.data_out.size());
  stream_->send(frame::room, c.number, encode(room_body{static_cast<std::uint32_t>(c.room.size())}));
}

result<bytes> outgoing_link::on_frame(const header& h, const_bytes body) noexcept {
  heard_ns_ = loop_.now_ns();
  const auto out_of_place = [] { return fail(errc::corrupt, "the peer sent a frame out of its place"); };
  switch (h.frame) {
    case frame::welcome:
      if (at_ != state::greeting) return out_of_place();
      greeted();
      return bytes{};
    case frame::pong:
      return bytes{};
    case frame::want: {
      const auto wanted = decode_want(body);
      if (!wanted) return tl::unexpected(wanted.error());
      command* c = find(h.number);
      if (c == nullptr || c->has_answer) return bytes{};
      c->wanted_offset = wanted->offset;
      c->wanted_length = wanted->length;
      answer(*c, relayed::wants_data);
      return bytes{};
    }
    case frame::data_in:
    case frame::ended:
      return take_answer(h, body);
    default:
      return out_of_place();
  }
}

result<bytes> outgoing_link::take_answer(const header& h, const_bytes body) {
  command* c = find(h.number);
  if (c == nullptr) {
    receiving_ = nullptr;
    return bytes{};
  }
  if (h.payload > c->room.size()) return fail(errc::corrupt, "the peer sent more data than there is room for");
  bool is_done_here = true;
  if (h.frame == frame::ended) {
    const auto ended = decode_ended(body);
    if (!ended) return tl::unexpected(ended.error());
    c->outcome = ended->outcome;
    c->length_out = ended->length_out;
    c->length_in = ended->length_in;
    c->silenced = ended->silenced;
    is_done_here = !ended->not_here;
  }
  receiving_as_ = h.frame == frame::data_in ? relayed::has_data : is_done_here ? relayed::ended : relayed::not_here;
  c->octets = h.payload;
  receiving_ = c;
  return c->room.first(h.payload);
}

void outgoing_link::on_payload(const header& h) noexcept {
  command* c = std::exchange(receiving_, nullptr);
  if (c == nullptr || (h.frame != frame::data_in && h.frame != frame::ended)) return;
  std::erase(queue_, c);
  answer(*c, receiving_as_);
}

}  // namespace sluice::relay
