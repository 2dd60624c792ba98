#include "fabrics/iscsi/name.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace sluice::iscsi {

namespace {

constexpr std::size_t max_name_bytes = 223;  // [RFC7143 4.2.7.1]

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// The character at the front of `from`, which is shortened by it; nullopt when that is no UTF-8 [RFC3629 4].
std::optional<std::uint32_t> take_character(std::string_view& from) {
  const auto octet = [&](std::size_t i) { return static_cast<unsigned char>(from[i]); };
  const unsigned first = octet(0);
  const std::size_t length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
  if (length == 0 || length > from.size()) return std::nullopt;
  std::uint32_t character = length == 1 ? first : first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if (octet(i) >> 6 != 2) return std::nullopt;
    character = character << 6 | (octet(i) & 0x3f);
  }
  constexpr std::uint32_t shortest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = character >= 0xd800 && character < 0xe000;
  if (character < shortest[length] || character > 0x10ffff || surrogate) return std::nullopt;
  from.remove_prefix(length);
  return character;
}

/// Characters beyond ASCII that a name can't have: they are not seen, or change how others are [RFC3722 6, RFC3454 C].
bool is_hidden(std::uint32_t c) {
  const auto within = [c](std::uint32_t first, std::uint32_t last) { return c >= first && c <= last; };
  return within(0x80, 0xa0) || c == 0xad || c == 0x34f || c == 0x61c || c == 0x1680 || c == 0x180e ||
         within(0x2000, 0x200f) || within(0x2028, 0x202f) || within(0x205f, 0x206f) || c == 0x3000 ||
         within(0xe000, 0xf8ff) || within(0xfe00, 0xfe0f) || c == 0xfeff || within(0xfff0, 0xffff) || c >= 0xe0000;
}

std::string character_problem(std::string_view name) {
  while (!name.empty()) {
    const char front = name.front();
    const std::optional<std::uint32_t> character = take_character(name);
    if (!character) return "is not UTF-8";
    const bool fits = *character >= 0x80 ? !is_hidden(*character)
                                         : is_letter(front) || is_digit(front) || front == '-' || front == '.' ||
                                               front == ':' || front == '_';
    if (!fits) return "has a character that iSCSI names don't have";
  }
  return {};
}

std::string iqn_problem(std::string_view rest) {
  constexpr std::size_t date_length = 7;  // YYYY-MM
  const bool dated = rest.size() > date_length + 1 && rest[4] == '-' && rest[date_length] == '.' &&
                     std::all_of(rest.begin(), rest.begin() + 4, is_digit) && is_digit(rest[5]) && is_digit(rest[6]);
  const int month = dated ? (rest[5] - '0') * 10 + (rest[6] - '0') : 0;
  if (month < 1 || month > 12) return "has no year and month after \"iqn.\"";
  rest.remove_prefix(date_length + 1);
  const std::string_view authority = rest.substr(0, rest.find(':'));
  if (authority.empty() || authority.front() == '.' || authority.back() == '.' ||
      authority.find("..") != std::string_view::npos)
    return "has no reversed domain name after the date";
  return {};
}

std::string hex_problem(std::string_view digits, std::string_view format, bool length_fits) {
  if (length_fits && std::all_of(digits.begin(), digits.end(), is_hex)) return {};
  return "has a wrong number of hexadecimal digits after \"" + std::string(format) + "\"";
}

}  // namespace

std::string canonical_name(std::string_view name) {
  std::string out(name);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string name_problem(std::string_view name) {
  if (name.size() > max_name_bytes) return "is longer than 223 octets";
  const std::string prefix = canonical_name(name.substr(0, 4));
  if ((prefix != "iqn." && prefix != "eui." && prefix != "naa.") || name.size() == prefix.size())
    return "starts with neither \"iqn.\" nor \"eui.\" nor \"naa.\"";
  return character_problem(name);
}

std::string target_name_problem(std::string_view name) {
  const std::string problem = name_problem(name);
  if (!problem.empty()) return problem;
  const std::string_view rest = name.substr(4);
  const std::string prefix = canonical_name(name.substr(0, 4));
  if (prefix == "iqn.") return iqn_problem(rest);
  return hex_problem(rest, prefix, rest.size() == 16 || (prefix == "naa." && rest.size() == 32));
}

}  // namespace sluice::iscsi
