#include "fabrics/iscsi/text.hpp"

#include <charconv>

namespace sluice::iscsi {
namespace {

bool key_character(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return c != '\0' && std::string_view(".-+@_/#").find(c) != std::string_view::npos;
}

bool valid_key(std::string_view key) {
  if (key.empty() || key.size() > max_key_bytes) return false;
  for (char c : key)
    if (!key_character(c)) return false;
  return true;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

std::optional<std::vector<std::uint8_t>> from_hex(std::string_view digits) {
  std::vector<std::uint8_t> out;
  out.reserve(digits.size() / 2 + 1);
  std::size_t i = 0;
  if (digits.size() % 2) {  // an odd count has an implied leading zero
    const int low = hex_digit(digits[i++]);
    if (low < 0) return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(low));
  }
  for (; i < digits.size(); i += 2) {
    const int high = hex_digit(digits[i]), low = hex_digit(digits[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return out;
}

std::optional<std::vector<std::uint8_t>> from_base64(std::string_view digits) {
  if (digits.size() % 4) return std::nullopt;
  std::size_t pad = 0;
  while (pad < 2 && !digits.empty() && digits.back() == '=') {
    digits.remove_suffix(1);
    ++pad;
  }
  std::vector<std::uint8_t> out;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (char c : digits) {
    const int digit = base64_digit(c);
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<std::uint8_t>(bits >> count));
  }
  return out;
}

}  // namespace

result<std::vector<text_pair>> parse_text(const_bytes data) {
  if (data.size() > max_text_bytes) return fail(errc::invalid_argument, "too much text");
  std::vector<text_pair> pairs;
  std::string_view rest = as_text(data);
  while (!rest.empty()) {
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos) return fail(errc::invalid_argument, "text without its final NUL");
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    if (pair.empty()) continue;  // initiators that count their padding as text
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return fail(errc::invalid_argument, "text without '='");
    if (!valid_key(pair.substr(0, equals))) return fail(errc::invalid_argument, "malformed key");
    if (pair.size() - equals - 1 > max_value_bytes) return fail(errc::invalid_argument, "value too long");
    if (pairs.size() == max_text_keys) return fail(errc::invalid_argument, "too many keys");
    pairs.push_back({pair.substr(0, equals), pair.substr(equals + 1)});
  }
  return pairs;
}

void append_text(std::string& to, std::string_view key, std::string_view value) {
  to.append(key).append(1, '=').append(value).append(1, '\0');
}

text_accumulator::room text_accumulator::add(const_bytes part) {
  if (part.size() > max_text_bytes - text_.size()) return room::too_long;
  // A string that grows takes up to twice what it holds.
  if (!payment_.set(2 * (text_.size() + part.size()), memory::ledger::claim::spare)) return room::no_memory;
  text_.append(as_text(part));
  return room::enough;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::vector<std::uint8_t>> parse_binary(std::string_view text, std::size_t max_bytes) {
  if (text.size() < 3 || text[0] != '0' || text.size() > 2 * max_bytes + 2) return std::nullopt;
  std::optional<std::vector<std::uint8_t>> out;
  if (text[1] == 'x' || text[1] == 'X') out = from_hex(text.substr(2));
  if (text[1] == 'b' || text[1] == 'B') out = from_base64(text.substr(2));
  if (out && (out->size() > max_bytes || out->empty())) return std::nullopt;
  return out;
}

std::string to_hex(const_bytes data) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out = "0x";
  out.reserve(2 + 2 * data.size());
  for (std::uint8_t octet : data) {
    out += digits[octet >> 4];
    out += digits[octet & 15];
  }
  return out;
}

}  // namespace sluice::iscsi
