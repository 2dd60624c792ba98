#include "fabrics/iscsi/connection.hpp"

#include <cstring>

#include "actors/wire/crc.hpp"

namespace sluice::iscsi {
namespace {

constexpr std::uint32_t bulk_bytes = 64 * 1024;  // from here on Data-Out payload goes straight to its place
constexpr std::uint32_t header_only_bytes = 512;

}  // namespace
connection::connection(reactor::loop& loop, reactor::handle handle, port::gateway& gateway, port::task_endpoint& self,
                       const connection_options& options, port_sessions::closer close_later,
                       std::function<void()> ended)
    : loop_(loop),
      handle_(handle),
      gateway_(gateway),
      self_(&self),
      options_(options),
      close_later_(std::move(close_later)),
      ended_(std::move(ended)),
      payer_(&loop.buffers().accounts().strangers()),
      in_(loop.buffers(), *payer_),
      out_(loop.buffers(), *payer_),
      negotiator_(offer{}),
      commands_(0) {
  SLUICE_CHECK(options_.shared && options_.turns && options_.listings);
}

connection::~connection() {
  SLUICE_CHECK(phase_ == phase_of::ended || !(receive_.in_flight() || readable_.in_flight()));
  if (slot_ != 0) options_.shared->book->leave(slot_);
}

void connection::start(std::shared_ptr<connection_facts> facts, std::uint64_t slot) {
  facts_ = std::move(facts);
  slot_ = slot;
  now_ns_ = heard_ns_ = loop_.now_ns();
  login_.emplace(login_options{}, world());
  login_->pay_by(memory::charge(ledger(), *payer_));
  loop_.arm(timer_, options_.bounds.login_timeout_ns);
  options_.turns->arrive(turn_, facts_->address);
  arm_receive();
}

void connection::move_to(port::task_endpoint& self, std::function<void()> ended) {
  self_ = &self;
  ended_ = std::move(ended);
}

connection_status connection::status() const {
  connection_status s;
  if (nexus_ && nexus_->identity()) s.nexus_id = nexus_->identity()->id;
  s.initiator = parameters().initiator_name;
  s.peer = facts_->peer;
  s.parameters = parameters().describe();
  s.discovery = parameters().discovery;
  return s;
}

// -- receiving and sending -------------------------------------------------------------------------------------

void connection::arm_receive() {
  if (!listens() || receive_.in_flight() || processing_ || again_.queued_) return;
  if (is_stranger()) return await_turn();
  if (out_.octets() > options_.send_high_water) return;  // resume() comes when the peer has taken some
  if (state_ == receive_state::payload) {
    const std::uint32_t left = sink_.end - sink_.at;
    return loop_.receive(receive_, handle_, {sink_.buffer.data() + sink_.at, left});
  }
  if (starved_ || !in_.prepare(wanted_)) {
    starved_ = true;
    return wait_for_memory();
  }
  const bool bulk_follows = solicited_ >= bulk_bytes && state_ != receive_state::skip;
  const std::uint32_t most = bulk_follows && wanted_ <= header_only_bytes ? header_only_bytes : UINT32_MAX;
  loop_.receive(receive_, handle_, in_.room(most));
}

/// Whatever waited for the event that has just been dealt with.
void connection::move_on() {
  if (phase_ == phase_of::leaving) return maybe_finish();
  if (phase_ == phase_of::replaced) maybe_go_over();
}

void connection::on_readable(std::int64_t) noexcept {
  if (phase_ == phase_of::leaving) return maybe_finish();
  resume();
}

void connection::on_received(std::int64_t result) noexcept {
  if (!listens()) return move_on();
  if (result <= 0) {
    drop(port::loss_reason::connection_lost);
    return maybe_finish();
  }
  now_ns_ = heard_ns_ = loop_.now_ns();
  probe_sent_ = false;
  const auto octets = static_cast<std::uint32_t>(result);
  if (state_ == receive_state::payload) {
    sink_.at += octets;
    if (sink_.target) sink_.target->progress_ns = now_ns_;
  } else {
    in_.filled(octets);
  }
  resume();
}

/// Goes on with what has been received, then asks for more. A session has so much of a turn of the loop, a stranger one
/// PDU when it is its turn.
void connection::resume() noexcept {
  if (processing_) return;
  if (is_stranger()) return listens() ? options_.turns->enter(turn_) : after_processing();
  processing_ = true;
  turn_cost_ = 0;
  const auto goes_on = [&] { return listens() && !starved_; };
  bool more = true;
  while (goes_on() && turn_cost_ < work_per_turn && (more = process())) continue;
  processing_ = false;
  if (more && goes_on()) loop_.defer(again_);
  after_processing();
}

void connection::after_processing() {
  if (!out_.empty()) loop_.at_turn_end(flush_);
  arm_receive();
  move_on();
}

/// Memory comes free by turns (memory::waiter), or the time is up that a command waits for it.
void connection::wait_for_memory() {
  ledger().wait(memory_waiter_);
  if (!starved_timer_.armed()) loop_.arm(starved_timer_, is_stranger() ? stranger_retry_ns : starved_retry_ns);
}

void connection::on_memory() noexcept {
  on_starved();
  move_on();
}

void connection::on_starved() noexcept {
  starved_ = false;
  now_ns_ = loop_.now_ns();
  feed_starving();
  give_up_starving();
  if (receive_.in_flight()) return;
  resume();
}

void connection::flush() noexcept {
  if (phase_ == phase_of::ended) return;
  if (writable_.in_flight()) {
    if (out_.own()) return;
    drop(port::loss_reason::connection_lost);
    return maybe_finish();
  }
  if (!output_abandoned_) {
    switch (out_.flush(loop_, handle_)) {
      case send_queue::progress::blocked:
        loop_.wait_writable(writable_, handle_);
        break;
      case send_queue::progress::broken:
        drop(port::loss_reason::connection_lost);
        break;
      case send_queue::progress::drained:
        break;
    }
  }
  if (out_.octets() <= (is_stranger() ? 0 : options_.send_high_water / 2)) {
    std::vector<command*> answered;
    answered.swap(put_waiting_);
    for (command* c : answered)
      answer_put(*c, c->end == command::fate::served ? port::transfer_end::done : port::transfer_end::failed);
    answered.clear();
    if (put_waiting_.empty()) put_waiting_.swap(answered);  // keeps the capacity
    arm_receive();
  }
  move_on();
}

void connection::on_writable(std::int64_t) noexcept {
  flush();
}

std::uint8_t* connection::send_header() {
  const bool digest = digests_on_ && parameters().header_digest;
  if (!processing_) loop_.at_turn_end(flush_);
  return out_.append(bhs_bytes + (digest ? digest_bytes : 0));
}

void connection::seal_header(std::uint8_t* at) {
  if (!digests_on_ || !parameters().header_digest) return;
  const std::uint32_t crc = wire::crc32c({at, bhs_bytes});
  for (unsigned i = 0; i < digest_bytes; ++i) at[bhs_bytes + i] = static_cast<std::uint8_t>(crc >> (8 * i));
}

/// The padding and the digest after `data_bytes` whose CRC is `crc`.
void connection::send_trailer(std::uint32_t data_bytes, std::uint32_t crc) {
  const std::uint32_t pad = padded(data_bytes) - data_bytes;
  const bool digest = digests_on_ && parameters().data_digest;
  if (pad == 0 && !digest) return;
  std::uint8_t* at = out_.append(pad + (digest ? digest_bytes : 0));
  std::memset(at, 0, pad);
  if (!digest) return;
  crc = wire::crc32c({at, pad}, crc);
  for (unsigned i = 0; i < digest_bytes; ++i) at[pad + i] = static_cast<std::uint8_t>(crc >> (8 * i));
}

void connection::on_timer() noexcept {
  if (phase_ == phase_of::full_feature) return keepalive();
  if (phase_ == phase_of::ended) return;
  // The session that this login takes the place of has not ended yet: it may try again soon.
  if (phase_ == phase_of::opening) return refuse_login(login_status::service_unavailable);
  if (lingers_) return end_linger();
  if (phase_ == phase_of::login) options_.shared->refused.count(refusals::timeout);
  drop(port::loss_reason::connection_lost);  // a login or a farewell that takes too long
  maybe_finish();
}

void connection::keepalive() {
  now_ns_ = loop_.now_ns();
  const served_port& port = served();
  const std::uint64_t silence = now_ns_ - heard_ns_;
  if (probe_sent_ && silence >= port.nop_timeout_ns) {
    drop(port::loss_reason::connection_lost);
    return maybe_finish();
  }
  if (!probe_sent_ && silence < port.nop_interval_ns) return loop_.arm(timer_, port.nop_interval_ns - silence);
  if (!probe_sent_) {
    nop_in probe;
    probe.target_transfer_tag = next_transfer_tag_++ & 0x7fffffff;
    probe.sn = numbers();  // a probe does not consume a StatSN [RFC7143 11.19.1]
    send(probe);
    probe_sent_ = true;
    in_.rest();
    heard_ns_ = now_ns_;  // the answer's time starts now
  }
  loop_.arm(timer_, port.nop_timeout_ns);
}

}  // namespace sluice::iscsi
