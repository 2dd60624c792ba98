#include "gateway/state/identity.hpp"

#include <algorithm>

#include "gateway/scsi/unit_facts.hpp"

namespace sluice::state {
namespace {

constexpr char digits[] = "0123456789abcdef";

void append_hex(std::string& to, std::uint64_t value) {
  for (int shift = 60; shift >= 0; shift -= 4) to += digits[value >> shift & 0xf];
}

bool is_serial(const std::string& text) {
  return text.size() == 32 && text.find_first_not_of(digits) == std::string::npos;
}

/// The serial is the identity; the NAA name follows from its first 16 digits.
unit_identity from_serial(const std::string& serial) {
  std::uint64_t head = 0;
  for (char c : serial.substr(0, 16))
    head = head << 4 | static_cast<std::uint64_t>(std::find(digits, digits + 16, c) - digits);
  return {serial, scsi::locally_assigned_naa(head)};
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

result<unit_identity> load_or_make_identity(state_store& store, const std::string& name,
                                            const std::function<std::uint64_t()>& random) {
  const result<std::optional<std::string>> kept = store.load(identity_key(name));
  if (!kept) return tl::unexpected<error>(kept.error());
  if (kept->has_value()) {
    if (!is_serial(**kept)) return fail(errc::corrupt, "the stored identity of unit " + name + " is not valid");
    return from_serial(**kept);
  }
  std::string serial;
  append_hex(serial, random());
  append_hex(serial, random());
  if (result<void> saved = store.save(identity_key(name), serial); !saved) return tl::unexpected<error>(saved.error());
  return from_serial(serial);
}

}  // namespace sluice::state
