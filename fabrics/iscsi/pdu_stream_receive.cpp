#include <algorithm>
#include <cstring>
#include <utility>

#include "actors/wire/crc.hpp"
#include "fabrics/iscsi/connection.hpp"
#include "fabrics/iscsi/pdu_stream.hpp"

/// Framing: from octets to PDUs. Small PDUs are taken in place; the payload of a large one goes straight to where it
/// belongs.
namespace sluice::iscsi {
namespace {

constexpr std::uint32_t min_sink_bytes = 4096;  // immediate data below this waits in the slab for its end

std::uint32_t load_digest(const_bytes from) {
  return from[0] | from[1] << 8 | from[2] << 16 | static_cast<std::uint32_t>(from[3]) << 24;
}

}  // namespace

std::uint32_t pdu_stream::trailer_bytes(std::uint32_t data_bytes) const {
  if (data_bytes == 0) return 0;
  return padded(data_bytes) - data_bytes + (has_data_digest() ? digest_bytes : 0);
}

bool pdu_stream::has_header_digest() const {
  return digests_on_ && up_.parameters().header_digest;
}

bool pdu_stream::has_data_digest() const {
  return digests_on_ && up_.parameters().data_digest;
}

bool pdu_stream::process() {
  if (starved_) return false;
  switch (state_) {
    case receive_state::header:
      return take_header();
    case receive_state::payload:
      return take_payload();
    case receive_state::trailer:
      return take_trailer();
    case receive_state::skip:
      return take_skip();
  }
  return false;
}

bool pdu_stream::take_header() {
  const const_bytes unread = in_.unread();
  wanted_ = bhs_bytes;
  if (unread.size() < bhs_bytes) return false;
  const bhs_view at = unread.first<bhs_bytes>();
  const header shape = decode_header(at);
  const bool digest = has_header_digest();
  const auto covered = static_cast<std::uint32_t>(bhs_bytes) + shape.ahs_bytes;
  const std::uint32_t header_bytes = covered + (digest ? static_cast<std::uint32_t>(digest_bytes) : 0);
  wanted_ = header_bytes;
  if (unread.size() < header_bytes) return false;
  const bool damaged = digest && wire::crc32c(unread.first(covered)) != load_digest(unread.subspan(covered));
  const std::uint32_t most =
      up_.is_stranger() ? default_max_recv_data_segment_length : up_.parameters().max_recv_target;
  // Past a broken header or a length that was never agreed there is no telling where the next PDU begins [RFC7143 7.7].
  if (damaged || shape.data_bytes > most) {
    if (damaged) up_.count(tally::header_digest_error);
    up_.break_off();
    return false;
  }
  const std::uint32_t whole = header_bytes + shape.data_bytes + trailer_bytes(shape.data_bytes);
  if (unread.size() >= whole) return take_whole(at, header_bytes, shape);
  const bool bulk =
      shape.code == opcode::data_out || (shape.code == opcode::scsi_command && shape.data_bytes >= min_sink_bytes);
  if (bulk && up_.is_in_full_feature()) return start_sink(at, header_bytes, shape);
  wanted_ = whole;
  return false;
}

bool pdu_stream::take_whole(bhs_view at, std::uint32_t header_bytes, const header& shape) {
  const const_bytes unread = in_.unread();
  const std::uint32_t trailer = trailer_bytes(shape.data_bytes);
  const std::uint32_t whole = header_bytes + shape.data_bytes + trailer;
  const bool digest = has_data_digest() && shape.data_bytes > 0;
  if (digest) {
    const const_bytes data = unread.subspan(header_bytes, padded(shape.data_bytes));
    if (wire::crc32c(data) != load_digest(unread.subspan(whole - digest_bytes))) {
      up_.count(tally::data_digest_error);
      up_.reject_and_leave(reject_reason::data_digest_error, at);  // nothing can be recovered at level 0
      return false;
    }
  }
  // The views stay valid: nothing prepares the buffer anew before this PDU has been dealt with.
  memory::slice data;
  if (shape.data_bytes > 0) data = in_.share(header_bytes, shape.data_bytes);
  up_.take_pdu(at, unread.subspan(bhs_bytes, shape.ahs_bytes), data);
  if (!up_.is_leaving()) in_.consume(whole);
  return !up_.is_leaving();
}

/// A Data-Out or a command with immediate data that is not all here: finds its place now.
bool pdu_stream::start_sink(bhs_view at, std::uint32_t header_bytes, const header& shape) {
  command* target = nullptr;
  sink s;
  if (shape.code == opcode::data_out) {
    const auto pdu = decode<data_out>(at);
    const auto place = up_.place_data_out(pdu, shape.data_bytes, target);
    if (place) s.buffer = target->landing;
    s.target = target;
    s.begin = place.value_or(0);
    s.final = pdu.final;
  } else {
    s.buffer = up_.take_memory(shape.data_bytes);
    if (s.buffer.empty() && !up_.has_waited_enough()) {  // the header stays unread; try_again() comes back to it
      starve();
      return false;
    }
    s.immediate_data = true;
    target = up_.accept_command(at, in_.unread().subspan(bhs_bytes, shape.ahs_bytes), shape.data_bytes);
    if (target && s.buffer.empty()) up_.run_out_of_memory(*target);
  }
  if (up_.is_leaving()) return false;
  in_.consume(header_bytes);
  s.target = target;
  s.at = s.begin;
  s.end = s.begin + shape.data_bytes;
  if (!target) s.buffer = {};
  sink_ = std::move(s);
  if (sink_.buffer.empty()) {
    skip(shape.data_bytes);
    return true;
  }
  state_ = receive_state::payload;
  const auto here = static_cast<std::uint32_t>(std::min<std::size_t>(in_.unread().size(), shape.data_bytes));
  std::memcpy(sink_.buffer.data() + sink_.at, in_.unread().data(), here);
  in_.consume(here);
  sink_.at += here;
  return true;
}

bool pdu_stream::take_payload() {
  if (sink_.at < sink_.end) return false;
  state_ = receive_state::trailer;
  return true;
}

bool pdu_stream::take_trailer() {
  const std::uint32_t octets = sink_.end - sink_.begin;
  const std::uint32_t trailer = trailer_bytes(octets);
  wanted_ = std::max(trailer, 1u);
  if (in_.unread().size() < trailer) return false;
  if (has_data_digest()) {
    const const_bytes tail = in_.unread().first(trailer);
    std::uint32_t crc = wire::crc32c({sink_.buffer.data() + sink_.begin, octets});
    crc = wire::crc32c(tail.first(trailer - digest_bytes), crc);
    if (crc != load_digest(tail.last(digest_bytes))) {
      // The header has gone by; a Reject without one would tell nothing more than the end of the connection does.
      up_.count(tally::data_digest_error);
      up_.broken();
      return false;
    }
  }
  in_.consume(trailer);
  state_ = receive_state::header;
  sink_done();
  return !up_.is_leaving();
}

void pdu_stream::sink_done() {
  sink done = std::move(sink_);
  sink_ = {};
  if (!done.target) return;  // the command ended meanwhile
  const std::uint32_t octets = done.end - done.begin;
  if (!done.immediate_data) return up_.data_out_landed(*done.target, octets, done.final);
  if (!done.buffer.empty()) up_.attach_immediate(*done.target, done.buffer.sub(0, octets));
  up_.command_ready(*done.target);
}

/// Takes a data segment that goes nowhere; its digest counts as ever.
void pdu_stream::skip(std::uint32_t data_bytes) {
  skip_bytes_ = padded(data_bytes);
  skip_crc_ = 0;
  state_ = receive_state::skip;
}

bool pdu_stream::take_skip() {
  const bool digest = has_data_digest();
  const const_bytes here = in_.unread().first(std::min<std::size_t>(in_.unread().size(), skip_bytes_));
  if (digest) skip_crc_ = wire::crc32c(here, skip_crc_);
  skip_bytes_ -= static_cast<std::uint32_t>(here.size());
  in_.consume(static_cast<std::uint32_t>(here.size()));
  wanted_ = bhs_bytes;
  if (skip_bytes_ > 0) return false;
  if (digest) {
    if (in_.unread().size() < digest_bytes) return false;
    if (load_digest(in_.unread()) != skip_crc_) {
      up_.count(tally::data_digest_error);
      up_.broken();  // as take_trailer()
      return false;
    }
    in_.consume(digest_bytes);
  }
  state_ = receive_state::header;
  sink_done();
  return !up_.is_leaving();
}

}  // namespace sluice::iscsi
