#include <algorithm>
#include <cctype>

#include "actors/wire/big_endian.hpp"
#include "fabrics/srp/iu.hpp"

namespace sluice::srp {
namespace {

using wire::load16;
using wire::load32;
using wire::load64;
using wire::load8;
using wire::store16;
using wire::store32;
using wire::store64;
using wire::store8;

constexpr std::uint8_t action_mask = 0x3;

void store_identifier(bytes to, std::size_t at, const port_identifier& id) {
  std::ranges::copy(id, to.begin() + static_cast<std::ptrdiff_t>(at));
}
port_identifier load_identifier(const_bytes from, std::size_t at) {
  port_identifier id;
  std::ranges::copy(from.subspan(at, id.size()), id.begin());
  return id;
}

}  // namespace

std::string to_text(const port_identifier& id) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t octet : id) {
    text += digits[octet >> 4];
    text += digits[octet & 15];
  }
  return text;
}

result<port_identifier> parse_identifier(const std::string& text) {
  std::string_view rest = text;
  if (rest.starts_with("0x") || rest.starts_with("0X")) rest.remove_prefix(2);
  port_identifier id{};
  std::size_t digits = 0;
  for (const char each : rest) {
    if (each == ':') continue;
    const auto c = static_cast<unsigned char>(each);
    if (!std::isxdigit(c) || digits == 2 * id.size()) return fail(errc::invalid_argument, "is not 32 hex digits");
    const int value = std::isdigit(c) ? c - '0' : std::tolower(c) - 'a' + 10;
    id[digits / 2] = static_cast<std::uint8_t>(id[digits / 2] << 4 | value);
    ++digits;
  }
  if (digits != 2 * id.size()) return fail(errc::invalid_argument, "is not 32 hex digits");
  return id;
}

const char* to_string(login_refusal why) {
  switch (why) {
    case login_refusal::cannot_establish:
      return "cannot establish a channel";
    case login_refusal::insufficient_resources:
      return "insufficient resources";
    case login_refusal::iu_too_large:
      return "the initiator's IUs are too large";
    case login_refusal::cannot_associate:
      return "no such target port";
    case login_refusal::unsupported_format:
      return "a format of data buffers is not supported";
    case login_refusal::no_multiple_channels:
      return "no further channels";
    case login_refusal::channel_limit_reached:
      return "not admitted";
  }
  return "unknown";
}

result<login_request> decode_login(const_bytes from) {
  if (from.size() < login_request::octets)  // the connection manager may pad it
    return fail(errc::invalid_argument, "a login request is cut short");
  if (load8(from, 11) != static_cast<std::uint8_t>(opcode::login_request))
    return fail(errc::invalid_argument, "no login request");
  login_request made;
  made.tag = load64(from, 0);
  made.formats = load16(from, 8);
  const std::uint8_t flags = load8(from, 10);
  if ((flags & action_mask) > 1) return fail(errc::invalid_argument, "an unknown multi-channel action");
  made.action = static_cast<multi_channel>(flags & action_mask);
  made.immediate = (flags & login_request::wants_immediate) != 0;
  made.max_initiator_iu_bytes = load32(from, 12);
  made.initiator = load_identifier(from, 16);
  made.target = load_identifier(from, 32);
  made.immediate_offset = load16(from, 48);
  return made;
}

std::array<std::uint8_t, login_request::octets> encode(const login_request& r) {
  std::array<std::uint8_t, login_request::octets> to{};
  store64(to, 0, r.tag);
  store16(to, 8, r.formats);
  store8(to, 10, static_cast<unsigned>(r.action) | (r.immediate ? login_request::wants_immediate : 0u));
  store8(to, 11, static_cast<std::uint8_t>(opcode::login_request));
  store32(to, 12, r.max_initiator_iu_bytes);
  store_identifier(to, 16, r.initiator);
  store_identifier(to, 32, r.target);
  store16(to, 48, r.immediate_offset);
  return to;
}

std::array<std::uint8_t, login_response::octets> encode(const login_response& r) {
  std::array<std::uint8_t, login_response::octets> to{};
  store8(to, 0, static_cast<std::uint8_t>(opcode::login_response));
  store32(to, 4, static_cast<std::uint32_t>(r.request_limit_delta));
  store64(to, 8, r.tag);
  store32(to, 16, r.max_initiator_iu_bytes);
  store32(to, 20, r.max_target_iu_bytes);
  store16(to, 24, r.formats);
  store8(to, 26, static_cast<unsigned>(r.channels) | (r.immediate ? login_request::wants_immediate : 0u));
  return to;
}

result<login_response> decode_login_response(const_bytes from) {
  if (from.size() < login_response::octets || from[0] != static_cast<std::uint8_t>(opcode::login_response))
    return fail(errc::invalid_argument, "no login response");
  login_response made;
  made.request_limit_delta = static_cast<std::int32_t>(load32(from, 4));
  made.tag = load64(from, 8);
  made.max_initiator_iu_bytes = load32(from, 16);
  made.max_target_iu_bytes = load32(from, 20);
  made.formats = load16(from, 24);
  made.channels = static_cast<login_response::others>(load8(from, 26) & action_mask);
  made.immediate = (load8(from, 26) & login_request::wants_immediate) != 0;
  return made;
}

std::array<std::uint8_t, login_rejection::octets> encode(const login_rejection& r) {
  std::array<std::uint8_t, login_rejection::octets> to{};
  store8(to, 0, static_cast<std::uint8_t>(opcode::login_rejection));
  store32(to, 4, static_cast<std::uint32_t>(r.reason));
  store64(to, 8, r.tag);
  store16(to, 24, direct_format | indirect_format);
  return to;
}

result<login_rejection> decode_login_rejection(const_bytes from) {
  if (from.size() < login_rejection::octets || from[0] != static_cast<std::uint8_t>(opcode::login_rejection))
    return fail(errc::invalid_argument, "no login rejection");
  return login_rejection{load64(from, 8), static_cast<login_refusal>(load32(from, 4))};
}

}  // namespace sluice::srp
