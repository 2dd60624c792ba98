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
}  // namespace

bool is_plain_name(std::string_view name) {
  constexpr std::size_t longest = 63;
  const auto starts = [](char c) { return is_lower(c) || is_upper(c) || is_digit(c); };
  return !name.empty() && name.size() <= longest && starts(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return starts(c) || c == '.' || c == '_' || c == '-'; });
}

}  // namespace sluice::config
