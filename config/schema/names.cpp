#include "config/schema/names.hpp"

#include <algorithm>

namespace sluice::config {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
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

bool is_plain_name(std::string_view name) {
  constexpr std::size_t longest = 63;
  const auto starts = [](char c) { return is_lower(c) || is_upper(c) || is_digit(c); };
  return !name.empty() && name.size() <= longest && starts(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return starts(c) || c == '.' || c == '_' || c == '-'; });
}

std::string iscsi_name_problem(std::string_view name) {
  constexpr std::size_t longest = 223;  // [RFC7143 4.2.7.1]
  if (name.size() > longest) return "is longer than 223 octets";
  for (char c : name) {
    if (is_upper(c) && name.starts_with("iqn.")) return "has an upper-case letter";
    // Beyond ASCII, stringprep [RFC3722] decides; such names are taken as they are.
    const bool fits = static_cast<unsigned char>(c) >= 0x80 || is_lower(c) || is_upper(c) || is_digit(c) || c == '-' ||
                      c == '.' || c == ':';
    if (!fits) return "has a character that iSCSI names don't have";
  }
  const std::string_view rest = name.substr(std::min<std::size_t>(4, name.size()));
  if (name.starts_with("iqn.")) return iqn_problem(rest);
  if (name.starts_with("eui.")) return hex_problem(rest, "eui.", rest.size() == 16);
  if (name.starts_with("naa.")) return hex_problem(rest, "naa.", rest.size() == 16 || rest.size() == 32);
  return "starts with neither \"iqn.\" nor \"eui.\" nor \"naa.\"";
}

}  // namespace sluice::config
