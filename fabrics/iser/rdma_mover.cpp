#include "fabrics/iser/rdma_mover.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "actors/observe/log.hpp"
#include "config/schema/address.hpp"
#include "fabrics/iscsi/connection.hpp"

/// The life of a connection over RDMA, and its messages.
namespace sluice::iser {
namespace {

constexpr std::uint32_t small_message_bytes = 256;  // all but long texts and echoes

std::optional<reactor::endpoint> endpoint_of(const std::string& text) {
  const auto address = config::parse_listen_address(text);
  if (!address) return std::nullopt;
  return reactor::endpoint{address->host, address->port};
}

}  // namespace

rdma_mover::rdma_mover(iscsi::connection& of, reactor::loop& loop, std::unique_ptr<rdma::connection> link,
                       std::uint32_t window)
    : up_(of),
      loop_(loop),
      link_(std::move(link)),
      sends_(*link_),
      window_(window),
      initiator_can_(decode_abilities(link_->private_data())) {}

rdma_mover::~rdma_mover() {
  SLUICE_CHECK(!open_ && exchanging_ == 0);
}

std::optional<reactor::endpoint> rdma_mover::local() const {
  return endpoint_of(link_->local());
}
std::optional<reactor::endpoint> rdma_mover::peer() const {
  return endpoint_of(link_->peer());
}

/// The adapter reads what is registered with it, the core's own buffers. Sense data have two octets before them.
void rdma_mover::restrict(port::capabilities& caps) const {
  caps.may_borrow = false;
  caps.max_sense_bytes = static_cast<std::uint16_t>(
      std::min<std::uint32_t>(caps.max_sense_bytes, up_.parameters().max_recv_initiator - 2));
}

// -- the beginning -----------------------------------------------------------------------------------------------

void rdma_mover::start() {
  const rdma::queue_depths most = link_->limits();
  rdma::queue_depths depths;
  depths.receives = window_ + uncounted_receives + login_receives;
  depths.sends = std::min(most.sends, 2 * window_ + 64);
  login_ring_ = most.receives < depths.receives ? nullptr : make_ring(login_receives);
  if (!login_ring_) return loop_.defer(fail_);
  if (const auto made = link_->open(depths, *this); !made) {
    SLUICE_LOG(warning, "iser", "no queue pair for a connection", {"peer", link_->peer()},
               {"why", made.error().message});
    return loop_.defer(fail_);
  }
  open_ = true;
  sends_.reserve_for_messages(depths.sends / 2);
  max_parts_read_ = link_->max_parts(rdma::request::kind::read);
  max_parts_write_ = link_->max_parts(rdma::request::kind::write);
  login_ring_->post(*link_);
  // An address is what an initiator says it is, never an offset; a key may be invalidated when both sides can.
  const bool can_invalidate = initiator_can_.send_with_invalidate && link_->can_invalidate();
  if (const auto done = link_->accept(encode(abilities{false, can_invalidate})); !done) {
    SLUICE_LOG(info, "iser", "a connection is not to be had", {"peer", link_->peer()}, {"why", done.error().message});
    loop_.defer(fail_);
  }
}

std::unique_ptr<rdma::receive_ring> rdma_mover::make_ring(std::uint32_t slots) {
  auto ring = rdma::receive_ring::make(
      loop_.buffers(), up_.payer(), slots, slot_bytes,
      [this, is_login = slots == login_receives](rdma::receive_ring::slot& at, const_bytes octets) {
        arrived(is_login ? *login_ring_ : *ring_, at, octets);
      });
  return ring ? std::move(*ring) : nullptr;
}

/// From here on messages come through the new receives, behind those that the login has posted.
void rdma_mover::begin_full_feature() {
  if (up_.is_stranger()) return;  // discovery goes on as the login did
  ring_ = make_ring(window_ + uncounted_receives);
  if (!ring_) return loop_.defer(fail_);
  if (open_ && !shut_) ring_->post(*link_);
  login_ring_->retire();
}

// -- what comes --------------------------------------------------------------------------------------------------

void rdma_mover::arrived(rdma::receive_ring& ring, rdma::receive_ring::slot& at, const_bytes octets) {
  // Not when its last message has been dealt with: that happens within a call of its own.
  if (&ring == ring_.get() && login_ring_ && login_ring_->is_spent()) login_ring_.reset();
  inbox_.push_back({&ring, &at, octets});
  if (!up_.listens()) return up_.move_on();
  up_.heard();
  if (up_.is_stranger()) return up_.readable();
  if (!starved_) up_.resume();
}

/// One message; it stays where it is while there is no memory for what it brings.
bool rdma_mover::process() {
  if (starved_ || inbox_.empty() || shut_) return false;
  const arrival next = inbox_.front();
  if (!take(next.octets)) return false;
  if (inbox_.empty()) return false;  // nobody listens any more
  inbox_.pop_front();
  next.ring->post_again(*next.at);
  return !up_.is_leaving();
}

bool rdma_mover::hear_one() {
  if (inbox_.empty() || starved_) return false;
  if (!up_.has_memory_for_a_turn()) {
    starved_ = true;
    up_.lacks_memory();
    return false;
  }
  up_.has_memory();
  return process();
}

bool rdma_mover::try_again() {
  starved_ = false;
  return true;
}

/// False while there is no memory for its data.
bool rdma_mover::take(const_bytes octets) {
  const auto m = decode(octets);
  if (!m) {
    violation(m.error().message.c_str());
    return true;
  }
  if (m->what == message::kind::hello) {
    const auto answer = hello_reply(*m);
    say(new_exchange(exchange::kind::message, nullptr), answer, {});
    return true;
  }
  return take_pdu(*m);
}

bool rdma_mover::take_pdu(const message& m) {
  const const_bytes pdu = m.pdu;
  if (pdu.size() < iscsi::bhs_bytes) {
    violation("a message without a PDU");
    return true;
  }
  const iscsi::bhs_view at = pdu.first<iscsi::bhs_bytes>();
  const iscsi::header shape = iscsi::decode_header(at);
  const std::size_t data_at = iscsi::bhs_bytes + shape.ahs_bytes;
  const std::uint32_t most =
      up_.is_stranger() ? iscsi::default_max_recv_data_segment_length : up_.parameters().max_recv_target;
  // Initiators send no padding, but might.
  if (shape.data_bytes > most || pdu.size() < data_at + shape.data_bytes ||
      pdu.size() > data_at + iscsi::padded(shape.data_bytes)) {
    violation("a PDU whose length is not that of its message");
    return true;
  }
  const const_bytes more = pdu.subspan(iscsi::bhs_bytes, shape.ahs_bytes);
  const const_bytes octets = pdu.subspan(data_at, shape.data_bytes);
  if (shape.code == iscsi::opcode::data_out && up_.is_in_full_feature()) {  // its command has paid for its place
    up_.take_data_out(at, octets);
    return true;
  }
  memory::slice data;
  if (!octets.empty()) {
    data = up_.take_memory(shape.data_bytes);
    const bool is_command = !up_.is_stranger() && shape.code == iscsi::opcode::scsi_command;
    if (data.empty() && !(is_command && up_.has_waited_enough())) {
      starved_ = true;
      up_.wait_for_memory();
      return false;
    }
    if (data.empty()) {  // the command is not to be had
      iscsi::command* const c = up_.accept_command(at, more, shape.data_bytes, &m.buffers);
      if (!c) return true;
      up_.run_out_of_memory(*c);
      up_.command_ready(*c);
      return true;
    }
    data = data.sub(0, shape.data_bytes);
    std::ranges::copy(octets, data.data());
  }
  up_.take_pdu(at, more, data, &m.buffers);
  return true;
}

void rdma_mover::violation(const char* what) {
  SLUICE_LOG(warning, "iser", "a connection is ended", {"peer", link_->peer()}, {"why", what});
  up_.break_off();
}

// -- what goes ---------------------------------------------------------------------------------------------------

void rdma_mover::end_pdu(std::uint8_t* header, const_bytes data) {
  exchange* const behind = std::exchange(with_data_, nullptr);
  say(behind ? *behind : new_exchange(exchange::kind::message, nullptr), {header, iscsi::bhs_bytes}, data);
}

/// Queues a message: a Hello's answer, which is a header of its own, or a PDU.
void rdma_mover::say(exchange& e, std::span<const std::uint8_t> head, const_bytes data) {
  const bool is_pdu = head.size() == iscsi::bhs_bytes;
  const std::size_t before = is_pdu ? header_bytes : 0;
  const std::size_t padded = (data.size() + 3) / 4 * 4;
  const auto octets = static_cast<std::uint32_t>(before + head.size() + padded);
  memory::slice memory = cut_ ? memory::slice{} : message_memory(octets);
  if (memory.empty()) {
    if (!cut_) loop_.defer(fail_);
    return give_back(e);
  }
  std::uint8_t* const to = memory.data();
  if (is_pdu) encode_header(std::span<std::uint8_t, header_bytes>(to, header_bytes));
  std::memcpy(to + before, head.data(), head.size());
  if (!data.empty()) std::memcpy(to + before + head.size(), data.data(), data.size());
  std::memset(to + before + head.size() + data.size(), 0, padded - data.size());
  rdma::request last;
  last.what = rdma::request::kind::send;
  last.remote_key = std::exchange(invalidates_, 0);
  last.part_count = 1;
  last.parts[0] = {to, octets};
  e.memory.push_back(std::move(memory));  // the last one: give_back() knows
  e.chain.push_back(last);
  e.octets = octets;
  unsent_ += octets;
  said_.push_back(&e);
  if (!up_.is_processing()) loop_.at_turn_end(flush_);
}

void rdma_mover::flush() noexcept {
  if (cut_ || shut_ || !open_) forget_output();
  for (exchange* const each : std::exchange(said_, {})) {
    ++messages_;
    sends_.push(*each, rdma::send_queue::lane::message);
  }
  up_.move_on();
}

void rdma_mover::forget_output() {
  for (exchange* const each : std::exchange(said_, {})) give_back(*each);
}

/// Room for a message of ours: small ones are cut out of a block, and used again.
memory::slice rdma_mover::message_memory(std::uint32_t octets) {
  constexpr std::uint32_t block_bytes = 4096;
  if (octets > small_message_bytes) return loop_.buffers().take(octets, up_.payer(), memory::ledger::claim::pressing);
  if (free_messages_.empty()) {
    const memory::slice block = loop_.buffers().take(block_bytes, up_.payer(), memory::ledger::claim::pressing);
    for (std::uint32_t at = 0; !block.empty() && at < block_bytes; at += small_message_bytes)
      free_messages_.push_back(block.sub(at, small_message_bytes));
  }
  if (free_messages_.empty()) return {};
  memory::slice taken = std::move(free_messages_.back());
  free_messages_.pop_back();
  return taken;
}

// -- exchanges ---------------------------------------------------------------------------------------------------

rdma_mover::exchange& rdma_mover::new_exchange(exchange::kind what, iscsi::command* of) {
  if (free_exchanges_.empty()) free_exchanges_.push_back(&all_exchanges_.emplace_back());
  exchange& made = *free_exchanges_.back();
  free_exchanges_.pop_back();
  ++exchanging_;
  made.owner = this;
  made.what = what;
  made.of = of;
  made.octets = 0;
  return made;
}

void rdma_mover::give_back(exchange& e) {
  if (e.octets > 0) {
    unsent_ -= e.octets;
    memory::slice& message = e.memory.back();
    if (message.size() == small_message_bytes && message.payer() == &up_.payer())
      free_messages_.push_back(std::move(message));
  }
  e.memory.clear();
  e.chain.clear();
  e.of = nullptr;
  free_exchanges_.push_back(&e);
  --exchanging_;
}

/// All that was posted of it has ended, or nothing was.
void rdma_mover::ended(exchange& e, rdma::outcome how) {
  iscsi::command* const c = e.of;
  const exchange::kind what = e.what;
  if (what == exchange::kind::message) --messages_;
  give_back(e);
  if (c) {
    static_cast<transfer_state*>(c->moved_by)->under_way = nullptr;
    const bool done = how == rdma::outcome::done;  // else the connection is broken, and its end gives the command back
    if (done && what == exchange::kind::fetch) up_.fetched(*c);
    if (done && what == exchange::kind::put) up_.data_sent(*c);
  }
  up_.move_on();
}

// -- the end -----------------------------------------------------------------------------------------------------

void rdma_mover::fail() noexcept {
  up_.broken();
}

void rdma_mover::on_lost(const std::string& why) noexcept {
  SLUICE_LOG(info, "iser", "a connection is lost", {"peer", link_->peer()}, {"why", why});
  up_.broken();
}

void rdma_mover::cut() {
  if (std::exchange(cut_, true)) return;
  if (with_data_) give_back(*std::exchange(with_data_, nullptr));
  forget_output();
  shut();
}

/// The adapter gives back at once what was posted.
void rdma_mover::shut() {
  if (std::exchange(shut_, true)) return;
  inbox_.clear();
  for (const auto& each : {login_ring_.get(), ring_.get()})
    if (each) each->stop();
  if (!open_) return;
  sends_.stop();
  link_->close();
}

void rdma_mover::on_drained() noexcept {
  open_ = false;
  login_ring_.reset();
  ring_.reset();
  up_.move_on();
}

bool rdma_mover::is_idle() const {
  return !open_ && exchanging_ == 0 && !flush_.queued_ && !fail_.queued_;
}

}  // namespace sluice::iser
