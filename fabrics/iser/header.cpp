#include "fabrics/iser/header.hpp"

#include <algorithm>

#include "actors/wire/big_endian.hpp"

namespace sluice::iser {
namespace {

// The upper half of the first octet says what it is; the lower, of a control-type message, which buffers it names.
constexpr std::uint8_t control = 0x1, hello_code = 0x2, hello_reply_code = 0x3;
constexpr std::uint8_t has_write = 0x08, has_read = 0x04, rejects = 0x01;
constexpr std::uint8_t version = 1;
constexpr std::uint8_t no_zero_based = 0x80, no_send_with_invalidate = 0x40;

}  // namespace

result<message> decode(const_bytes octets) {
  if (octets.size() < header_bytes) return fail(errc::invalid_argument, "a message without an iSER header");
  message m;
  switch (octets[0] >> 4) {
    case control:
      break;
    case hello_code:
      m.what = message::kind::hello;
      m.max_version = octets[1] >> 4;
      m.min_version = octets[1] & 0x0f;
      return m;
    default:
      return fail(errc::invalid_argument, "a type of iSER message that no initiator sends");
  }
  if (octets[0] & has_write) m.buffers.out = {wire::load32(octets, 4), wire::load64(octets, 8), true};
  if (octets[0] & has_read) m.buffers.in = {wire::load32(octets, 16), wire::load64(octets, 20), true};
  m.pdu = octets.subspan(header_bytes);
  return m;
}

void encode_header(std::span<std::uint8_t, header_bytes> into) {
  std::ranges::fill(into, std::uint8_t{0});
  into[0] = control << 4;
}

std::array<std::uint8_t, header_bytes> hello_reply(const message& hello) {
  std::array<std::uint8_t, header_bytes> said{};
  const bool fits = hello.min_version <= version && version <= hello.max_version;
  said[0] = static_cast<std::uint8_t>(hello_reply_code << 4 | (fits ? 0 : rejects));
  said[1] = version << 4 | version;
  return said;
}

abilities decode_abilities(const_bytes private_data) {
  if (private_data.size() < 4) return {false, false};
  return {(private_data[0] & no_zero_based) == 0, (private_data[0] & no_send_with_invalidate) == 0};
}

std::array<std::uint8_t, 4> encode(const abilities& of) {
  std::array<std::uint8_t, 4> said{};
  if (!of.zero_based) said[0] |= no_zero_based;
  if (!of.send_with_invalidate) said[0] |= no_send_with_invalidate;
  return said;
}

}  // namespace sluice::iser
