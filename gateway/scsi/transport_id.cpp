#include "gateway/scsi/transport_id.hpp"

#include <algorithm>
#include <optional>

#include "actors/wire/big_endian.hpp"

namespace sluice::scsi {
namespace {

constexpr std::size_t binary_bytes = 24;  // every TransportID but iSCSI's
constexpr std::size_t iscsi_header_bytes = 4;
constexpr std::size_t iscsi_min_name = 20;       // ADDITIONAL LENGTH is at least this
constexpr std::size_t iscsi_max_name = 256;      // 223 octets of name, ",i,0x", 12 digits, NUL, padding
constexpr std::size_t longest_iscsi_name = 223;  // [RFC7143 4.2.7.1]
constexpr std::string_view isid_separator = ",i,0x";
constexpr std::size_t isid_digits = 12;

/// Where the identifier of a protocol stands in its 24 octets [SPC-4 7.6.4].
struct place {
  std::size_t offset;
  std::size_t octets;
};
place place_of(protocol p) {
  switch (p) {
    case protocol::srp:
      return {8, 16};
    case protocol::sas:
      return {4, 8};
    default:
      return {8, 8};  // FCP: N_Port_Name; SBP: EUI-64; UAS, for which SPC-4 has no form, borrows it
  }
}

char hex_digit(unsigned nibble) {
  return "0123456789abcdef"[nibble & 15];
}

std::optional<std::uint8_t> hex_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

std::string to_hex(const_bytes octets) {
  std::string text;
  for (const std::uint8_t octet : octets) {
    text += hex_digit(octet >> 4);
    text += hex_digit(octet);
  }
  return text;
}

/// As many octets as `text` has pairs of digits and `to` has room for.
void from_hex(std::string_view text, bytes to) {
  for (std::size_t i = 0; i < to.size() && 2 * i + 1 < text.size(); ++i)
    to[i] = static_cast<std::uint8_t>(hex_value(text[2 * i]).value_or(0) << 4 | hex_value(text[2 * i + 1]).value_or(0));
}

std::vector<std::uint8_t> encode_iscsi(const transport_id& id) {
  std::string text = id.name;
  if (!id.extension.empty()) text += ",i," + id.extension;
  const std::size_t octets = std::max(iscsi_min_name, (text.size() + 1 + 3) / 4 * 4);
  std::vector<std::uint8_t> to(iscsi_header_bytes + octets);
  to[0] = static_cast<std::uint8_t>((id.extension.empty() ? 0x00 : 0x40) | static_cast<unsigned>(protocol::iscsi));
  wire::store16(to, 2, octets);
  std::ranges::copy(text, to.begin() + iscsi_header_bytes);
  return to;
}

/// Splits "name,i,0xISID"; the ISID's digits become lower case.
result<transport_id> split_port_name(std::string_view text) {
  const std::size_t at = text.find(isid_separator);
  if (at == std::string_view::npos || at == 0) return fail(errc::invalid_argument, "iSCSI port name without ,i,0x");
  const std::string_view digits = text.substr(at + isid_separator.size());
  if (at > longest_iscsi_name) return fail(errc::invalid_argument, "an iSCSI name has 223 octets at most");
  if (digits.size() != isid_digits || !std::ranges::all_of(digits, [](char c) { return hex_value(c).has_value(); }))
    return fail(errc::invalid_argument, "an ISID is 12 hex digits");
  transport_id id{.protocol = protocol::iscsi, .name = std::string(text.substr(0, at)), .extension = "0x"};
  for (const char c : digits) id.extension += hex_digit(*hex_value(c));
  return id;
}

/// iSCSI names are compared without case [RFC7143 4.2.7.1].
std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

result<transport_id> decode_iscsi(const_bytes from, std::size_t& used) {
  const std::size_t octets = wire::load16(from, 2);
  if (octets < iscsi_min_name || octets > iscsi_max_name || octets % 4 != 0)
    return fail(errc::invalid_argument, "bad length of an iSCSI TransportID");
  if (from.size() < iscsi_header_bytes + octets) return fail(errc::invalid_argument, "TransportID is cut short");
  const std::string_view field = as_text(from.subspan(iscsi_header_bytes, octets));
  const std::size_t end = field.find('\0');
  if (end == std::string_view::npos || end == 0 || field.find_first_not_of('\0', end) != std::string_view::npos)
    return fail(errc::invalid_argument, "an iSCSI name ends with NUL and is padded with NUL");
  const std::string_view text = field.substr(0, end);
  if (!std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7f'; }))
    return fail(errc::invalid_argument, "an iSCSI name holds no spaces or control characters");
  used = iscsi_header_bytes + octets;
  if (from[0] >> 6 == 1) return split_port_name(lower_case(text));
  if (text.size() > longest_iscsi_name) return fail(errc::invalid_argument, "an iSCSI name has 223 octets at most");
  if (text.find(',') != std::string_view::npos) return fail(errc::invalid_argument, "an iSCSI name holds no comma");
  return transport_id{.protocol = protocol::iscsi, .name = lower_case(text), .extension = {}};
}

}  // namespace

std::vector<std::uint8_t> encode(const transport_id& id) {
  if (id.protocol == protocol::iscsi) return encode_iscsi(id);
  std::vector<std::uint8_t> to(binary_bytes);
  to[0] = static_cast<std::uint8_t>(id.protocol);
  const place p = place_of(id.protocol);
  from_hex(id.name, bytes(to).subspan(p.offset, p.octets));
  return to;
}

result<transport_id> decode_transport_id(const_bytes from, std::size_t& used) {
  used = 0;
  if (from.size() < binary_bytes) return fail(errc::invalid_argument, "TransportID is cut short");
  const auto kind = static_cast<protocol>(from[0] & 0x0f);
  const unsigned format = from[0] >> 6;
  switch (kind) {
    case protocol::iscsi:
      if (format > 1) break;
      return decode_iscsi(from, used);
    case protocol::fcp:
    case protocol::sbp:
    case protocol::srp:
    case protocol::sas:
    case protocol::uas: {
      if (format != 0) break;
      const place p = place_of(kind);
      used = binary_bytes;
      return transport_id{.protocol = kind, .name = to_hex(from.subspan(p.offset, p.octets)), .extension = {}};
    }
  }
  return fail(errc::unsupported, "unknown kind of TransportID");
}

}  // namespace sluice::scsi
