#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "actors/base/bytes.hpp"
#include "actors/wire/big_endian.hpp"

/// The iSCSI wire format [RFC7143 11], pure: no state, no I/O. Each PDU is a struct whose fields() names every field
/// once with its place in the Basic Header Segment; decode() and encode() both follow it.
namespace sluice::iscsi {

inline constexpr std::size_t bhs_bytes = 48;
inline constexpr std::size_t digest_bytes = 4;
inline constexpr std::size_t max_ahs_bytes = 255 * 4;
inline constexpr std::uint32_t reserved_tag = 0xffffffff;
/// What either side may send before MaxRecvDataSegmentLength has been declared [RFC7143 13.12].
inline constexpr std::uint32_t default_max_recv_data_segment_length = 8192;

using bhs = std::array<std::uint8_t, bhs_bytes>;
using bhs_view = std::span<const std::uint8_t, bhs_bytes>;

/// [RFC7143 11.2.1.2]
enum class opcode : std::uint8_t {
  nop_out = 0x00,
  scsi_command = 0x01,
  task_management_request = 0x02,
  login_request = 0x03,
  text_request = 0x04,
  data_out = 0x05,
  logout_request = 0x06,
  snack = 0x10,
  nop_in = 0x20,
  scsi_response = 0x21,
  task_management_response = 0x22,
  login_response = 0x23,
  text_response = 0x24,
  data_in = 0x25,
  logout_response = 0x26,
  r2t = 0x31,
  async_message = 0x32,
  reject = 0x3f,
};

/// What every BHS says of its PDU's shape.
struct header {
  opcode code;
  bool immediate;
  std::uint32_t ahs_bytes;   // 0 … 1020
  std::uint32_t data_bytes;  // 0 … 2^24-1, without padding
};

inline header decode_header(bhs_view from) {
  return {static_cast<opcode>(from[0] & 0x3f), (from[0] & 0x40) != 0, from[4] * 4u, wire::load24(from, 5)};
}

/// The next multiple of 4: data segments are padded on the wire [RFC7143 11.2.3].
inline constexpr std::uint32_t padded(std::uint32_t octets) {
  return (octets + 3) & ~3u;
}

namespace detail {

class reader {
 public:
  explicit reader(bhs_view from) : from_(from) {}
  void flag(unsigned at, std::uint8_t mask, bool& value) { value = (from_[at] & mask) != 0; }
  template <class T>
  void bits(unsigned at, std::uint8_t mask, unsigned shift, T& value) {
    value = static_cast<T>((from_[at] & mask) >> shift);
  }
  template <class T>
  void octet(unsigned at, T& value) {
    value = static_cast<T>(from_[at]);
  }
  void u16(unsigned at, std::uint16_t& value) { value = wire::load16(from_, at); }
  void u32(unsigned at, std::uint32_t& value) { value = wire::load32(from_, at); }
  void u48(unsigned at, std::uint64_t& value) { value = wire::load48(from_, at); }
  void u64(unsigned at, std::uint64_t& value) { value = wire::load64(from_, at); }
  template <std::size_t N>
  void raw(unsigned at, std::array<std::uint8_t, N>& value) {
    std::memcpy(value.data(), from_.data() + at, N);
  }

 private:
  bhs_view from_;
};

class writer {
 public:
  explicit writer(std::span<std::uint8_t, bhs_bytes> to) : to_(to) {}
  void flag(unsigned at, std::uint8_t mask, const bool& value) { to_[at] |= value ? mask : 0; }
  template <class T>
  void bits(unsigned at, std::uint8_t mask, unsigned shift, const T& value) {
    to_[at] |= static_cast<std::uint8_t>(static_cast<std::uint8_t>(value) << shift) & mask;
  }
  template <class T>
  void octet(unsigned at, const T& value) {
    to_[at] = static_cast<std::uint8_t>(value);
  }
  void u16(unsigned at, const std::uint16_t& value) { wire::store16(to_, at, value); }
  void u32(unsigned at, const std::uint32_t& value) { wire::store32(to_, at, value); }
  void u48(unsigned at, const std::uint64_t& value) { wire::store48(to_, at, value); }
  void u64(unsigned at, const std::uint64_t& value) { wire::store64(to_, at, value); }
  template <std::size_t N>
  void raw(unsigned at, const std::array<std::uint8_t, N>& value) {
    std::memcpy(to_.data() + at, value.data(), N);
  }

 private:
  std::span<std::uint8_t, bhs_bytes> to_;
};

}  // namespace detail

/// The fields of a BHS whose opcode is `Pdu::code`; the caller has looked at the opcode.
template <class Pdu>
Pdu decode(bhs_view from) {
  Pdu pdu;
  detail::reader visitor(from);
  Pdu::fields(visitor, pdu);
  return pdu;
}

/// Writes a whole BHS; `data_bytes` < 2^24 follow it, after `ahs_bytes` (a multiple of 4) of additional headers.
template <class Pdu>
void encode(const Pdu& pdu, std::span<std::uint8_t, bhs_bytes> to, std::uint32_t data_bytes = 0,
            std::uint32_t ahs_bytes = 0) {
  std::memset(to.data(), 0, bhs_bytes);
  to[0] = static_cast<std::uint8_t>(Pdu::code);
  to[4] = static_cast<std::uint8_t>(ahs_bytes / 4);
  wire::store24(to, 5, data_bytes);
  detail::writer visitor(to);
  Pdu::fields(visitor, pdu);
}
template <class Pdu>
bhs encode(const Pdu& pdu, std::uint32_t data_bytes = 0, std::uint32_t ahs_bytes = 0) {
  bhs out;
  encode(pdu, std::span<std::uint8_t, bhs_bytes>(out), data_bytes, ahs_bytes);
  return out;
}

/// What additional header segments hold for a SCSI Command [RFC7143 11.2.2].
struct additional_headers {
  const_bytes extended_cdb;  // the octets of the CDB after the 16th, where the headers lie; at most 244
  bool has_bidirectional_read = false;
  std::uint32_t bidirectional_read_bytes = 0;
};

enum class ahs_verdict : std::uint8_t { ok, malformed, cdb_too_long };

/// Reads the AHS area of a SCSI Command. Unknown types are malformed: none exists for us to skip.
ahs_verdict decode_ahs(const_bytes area, additional_headers& into);

}  // namespace sluice::iscsi
