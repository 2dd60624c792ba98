#include "gateway/state/identity.hpp"

#include <algorithm>

#include "gateway/scsi/unit_facts.hpp"

namespace sluice::state {
namespace {

constexpr char digits[] = "0123456789abcdef";

void append_hex(std::string& to, std::uint64_t value) {
  for (int shift = 60; shift >= 0; shift -= 4) to += digits[value >> shift & 0xf];
}

}  // namespace

std::string identity_key(const std::string& unit) {
  return "identity/" + unit;
}
std::string reservations_key(const std::string& unit) {
  return "reservations/" + unit;
}
std::string mode_key(const std::string& unit) {
  return "mode/" + unit;
}

bool is_serial(const std::string& text) {
  return text.size() == 32 && text.find_first_not_of(digits) == std::string::npos;
}

unit_identity identity_of(const std::string& serial) {
  std::uint64_t head = 0;
  for (char c : serial.substr(0, 16))
    head = head << 4 | static_cast<std::uint64_t>(std::find(digits, digits + 16, c) - digits);
  return {serial, scsi::locally_assigned_naa(head)};
}

std::string make_serial(const std::function<std::uint64_t()>& random) {
  std::string serial;
  append_hex(serial, random());
  append_hex(serial, random());
  return serial;
}

}  // namespace sluice::state
