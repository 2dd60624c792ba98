#include "fabrics/iscsi/pdu_stream.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "actors/reactor/hand_over.hpp"
#include "actors/wire/crc.hpp"
#include "fabrics/iscsi/connection.hpp"

/// A socket's octets, and what leaves by it.
namespace sluice::iscsi {
namespace {

constexpr std::uint32_t bulk_bytes = 64 * 1024;  // from here on Data-Out payload goes straight to its place
constexpr std::uint32_t header_only_bytes = 512;

void store_digest(std::uint8_t* at, std::uint32_t crc) {
  for (unsigned i = 0; i < digest_bytes; ++i) at[i] = static_cast<std::uint8_t>(crc >> (8 * i));
}

}  // namespace

pdu_stream::pdu_stream(connection& of, reactor::loop& loop, reactor::handle socket)
    : up_(of),
      loop_(loop),
      socket_(socket),
      in_(loop.buffers(), loop.buffers().accounts().strangers()),
      out_(loop.buffers(), loop.buffers().accounts().strangers()) {}

pdu_stream::~pdu_stream() {
  SLUICE_CHECK(!(receive_.in_flight() || readable_.in_flight()) || up_.has_ended());
}

std::optional<reactor::endpoint> pdu_stream::local() const {
  auto found = loop_.local_endpoint(socket_);
  return found ? std::optional(std::move(*found)) : std::nullopt;
}

std::optional<reactor::endpoint> pdu_stream::peer() const {
  auto found = loop_.peer_endpoint(socket_);
  return found ? std::optional(std::move(*found)) : std::nullopt;
}

/// A digest is of the octets as they leave: what is borrowed might change on its way.
void pdu_stream::restrict(port::capabilities& caps) const {
  caps.may_borrow = !up_.parameters().data_digest;
}

// -- receiving -------------------------------------------------------------------------------------------------

void pdu_stream::receive() {
  if (receive_.in_flight()) return;
  if (out_.octets() > up_.send_high_water()) return;  // flush() comes back when the peer has taken some
  if (state_ == receive_state::payload) {
    const std::uint32_t left = sink_.end - sink_.at;
    return loop_.receive(receive_, socket_, {sink_.buffer.data() + sink_.at, left});
  }
  if (starved_ || !in_.prepare(wanted_)) return starve();
  const bool bulk_follows = up_.solicited() >= bulk_bytes && state_ != receive_state::skip;
  const std::uint32_t most = bulk_follows && wanted_ <= header_only_bytes ? header_only_bytes : UINT32_MAX;
  loop_.receive(receive_, socket_, in_.room(most));
}

void pdu_stream::starve() {
  starved_ = true;
  up_.wait_for_memory();
}

void pdu_stream::await() {
  if (readable_.in_flight() || starved_ || !out_.empty()) return;  // one answer at a time
  if (in_.unread().empty()) in_.clear();
  loop_.wait_readable(readable_, socket_);
}

void pdu_stream::on_readable(std::int64_t) noexcept {
  up_.readable();
}

void pdu_stream::on_received(std::int64_t result) noexcept {
  if (!up_.listens()) return up_.move_on();
  if (result <= 0) return up_.broken();
  up_.heard();
  const auto octets = static_cast<std::uint32_t>(result);
  if (state_ == receive_state::payload) {
    sink_.at += octets;
    if (sink_.target) sink_.target->progress_ns = up_.now_ns();
  } else {
    in_.filled(octets);
  }
  up_.resume();
}

/// The whole of a stranger's turn happens within this call, so that it can be measured.
bool pdu_stream::hear_one() {
  if (process()) return true;
  if (!up_.listens() || starved_) return false;
  if (!up_.has_memory_for_a_turn() || !in_.prepare(wanted_)) {
    starved_ = true;
    up_.lacks_memory();
    return false;
  }
  up_.has_memory();
  const std::int64_t got = loop_.receive_now(socket_, in_.room(UINT32_MAX));
  if (got == -EAGAIN) return false;
  if (got <= 0) {
    up_.broken();
    return false;
  }
  up_.heard();
  in_.filled(static_cast<std::uint32_t>(got));
  return process();
}

bool pdu_stream::try_again() {
  starved_ = false;
  return !receive_.in_flight();
}

// -- sending ---------------------------------------------------------------------------------------------------

void pdu_stream::flush() noexcept {
  if (up_.has_ended()) return;
  if (writable_.in_flight()) {
    if (!out_.own()) up_.broken();
    return;
  }
  if (!cut_) {
    switch (out_.flush(loop_, socket_)) {
      case send_queue::progress::blocked:
        loop_.wait_writable(writable_, socket_);
        break;
      case send_queue::progress::broken:
        return up_.broken();
      case send_queue::progress::drained:
        break;
    }
  }
  if (out_.octets() <= (up_.is_stranger() ? 0 : up_.send_high_water() / 2)) {
    std::vector<command*> answered;
    answered.swap(put_waiting_);
    for (command* c : answered) up_.data_sent(*c);
    answered.clear();
    if (put_waiting_.empty()) put_waiting_.swap(answered);  // keeps the capacity
    up_.listen();
  }
  up_.move_on();
}

void pdu_stream::on_writable(std::int64_t) noexcept {
  flush();
}

std::uint8_t* pdu_stream::begin_pdu() {
  if (!up_.is_processing()) loop_.at_turn_end(flush_);
  return out_.append(bhs_bytes + (has_header_digest() ? digest_bytes : 0));
}

void pdu_stream::seal_header(std::uint8_t* at) const {
  if (has_header_digest()) store_digest(at + bhs_bytes, wire::crc32c({at, bhs_bytes}));
}

void pdu_stream::end_pdu(std::uint8_t* header, const_bytes data) {
  seal_header(header);
  if (data.empty()) return;
  for (const_bytes rest = data; !rest.empty();) {  // a long text passes what the arena holds in one piece
    const auto piece = static_cast<std::uint32_t>(std::min<std::size_t>(rest.size(), send_queue::arena_bytes));
    std::memcpy(out_.append(piece), rest.data(), piece);
    rest = rest.subspan(piece);
  }
  send_trailer(static_cast<std::uint32_t>(data.size()), has_data_digest() ? wire::crc32c(data) : 0);
}

void pdu_stream::end_pdu(std::uint8_t* header, const memory::slice& data) {
  seal_header(header);
  out_.append(data);
  send_trailer(data.size(), has_data_digest() ? wire::crc32c(data.span()) : 0);
}

/// The padding and the digest after `data_bytes` whose CRC is `crc`.
void pdu_stream::send_trailer(std::uint32_t data_bytes, std::uint32_t crc) {
  const std::uint32_t pad = padded(data_bytes) - data_bytes;
  const bool digest = has_data_digest();
  if (pad == 0 && !digest) return;
  std::uint8_t* at = out_.append(pad + (digest ? digest_bytes : 0));
  std::memset(at, 0, pad);
  if (digest) store_digest(at + pad, wire::crc32c({at, pad}, crc));
}

// -- data --------------------------------------------------------------------------------------------------------

void pdu_stream::fetch(command& c) {
  up_.send_r2ts(c);
}

namespace {

/// Walks over slices in order; the caller keeps count of the end.
struct slice_cursor {
  const std::vector<memory::slice>& slices;
  std::size_t index = 0;
  std::uint32_t offset = 0;
  /// The next octets that lie in one piece, at most `most`.
  memory::slice next(std::uint32_t most) {
    while (offset == slices[index].size()) {
      ++index;
      offset = 0;
    }
    const std::uint32_t octets = std::min(most, slices[index].size() - offset);
    memory::slice piece = slices[index].sub(offset, octets);
    offset += octets;
    return piece;
  }
};

std::uint64_t size_of(const std::vector<memory::slice>& slices) {
  std::uint64_t total = 0;
  for (const memory::slice& s : slices) total += s.size();
  return total;
}

}  // namespace

/// Data-In PDUs: none larger than the initiator takes, no sequence longer than MaxBurstLength. The last one carries a
/// GOOD status when `completes`.
void pdu_stream::send_data_in(command& c, bool completes) {
  port::task& t = c.task;
  const session_parameters& p = up_.parameters();
  out_.pay_copies(std::move(t.lent));
  std::uint64_t left =
      std::min(size_of(t.data_in), t.expected_data_in - std::min(t.expected_data_in, c.data_in_offset));
  slice_cursor from{t.data_in};
  std::uint64_t sequence = 0;
  while (left > 0) {
    const std::uint64_t most = std::min<std::uint64_t>(p.max_recv_initiator, p.max_burst_length - sequence);
    const auto octets = static_cast<std::uint32_t>(std::min(left, most));
    left -= octets;
    sequence += octets;
    data_in pdu;
    pdu.final = left == 0 || sequence == p.max_burst_length;
    if (pdu.final) sequence = 0;
    pdu.initiator_task_tag = c.initiator_task_tag;
    pdu.data_sn = c.data_in_sn++;
    pdu.buffer_offset = static_cast<std::uint32_t>(c.data_in_offset);
    c.data_in_offset += octets;
    if (left == 0 && completes && c.verdict.status == scsi::status::good)
      up_.put_status(c, pdu);
    else
      pdu.sn = up_.numbers_without_status();
    std::uint8_t* at = begin_pdu();
    encode(pdu, std::span<std::uint8_t, bhs_bytes>(at, bhs_bytes), octets);
    seal_header(at);
    std::uint32_t crc = 0;
    for (std::uint32_t rest = octets; rest > 0;) {
      memory::slice piece = from.next(rest);
      rest -= piece.size();
      if (has_data_digest()) crc = wire::crc32c(piece.span(), crc);
      out_.append(std::move(piece));
    }
    send_trailer(octets, crc);
  }
}

void pdu_stream::await_sent(command& c) {
  put_waiting_.push_back(&c);
  loop_.at_turn_end(flush_);
}

/// What of its data is on its way in is dropped.
void pdu_stream::forget(command& c) {
  if (sink_.target == &c) sink_.target = nullptr;
}

/// The header of the last Data-Out of the burst has gone by; what follows it is dropped.
bool pdu_stream::is_taking_last(const command& c) const {
  return sink_.target == &c && sink_.final && !sink_.immediate_data;
}

// -- its life ----------------------------------------------------------------------------------------------------

void pdu_stream::pay_from(memory::account& share) {
  in_.pay_from(share);
  out_.pay_from(share);
}

void pdu_stream::cut() {
  if (cut_) return;
  cut_ = true;
  out_.clear();
  shut();
}

void pdu_stream::shut() {
  if (!shut_) loop_.shutdown(socket_);
  shut_ = true;
}

bool pdu_stream::is_idle() const {
  return !(readable_.in_flight() || receive_.in_flight() || writable_.in_flight() || flush_.queued_);
}

void pdu_stream::close() {
  if (socket_ != reactor::no_handle) loop_.close(std::exchange(socket_, reactor::no_handle));
}

reactor::handle pdu_stream::offer() {
  if (!out_.empty() || writable_.in_flight() || !in_.unread().empty()) return reactor::no_handle;
  reactor::hand_over_socket(loop_, socket_);
  return socket_;
}

void pdu_stream::give_up() {
  socket_ = reactor::no_handle;
  cut_ = shut_ = true;
}

void pdu_stream::adopt(reactor::handle socket) {
  SLUICE_CHECK(put_waiting_.empty());
  loop_.close(std::exchange(socket_, socket));
  in_.clear();
  out_.clear();
  state_ = receive_state::header;
  wanted_ = bhs_bytes;
  sink_ = {};
  digests_on_ = starved_ = cut_ = shut_ = false;
}

}  // namespace sluice::iscsi
