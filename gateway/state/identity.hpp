#pragma once
#include <functional>
#include <string>

namespace sluice::state {

/// Who a logical unit is, for ever: agreed upon under the unit's name, whatever happens to the configuration file.
struct unit_identity {
  std::string serial;     // 32 lower-case hex digits
  std::uint64_t naa = 0;  // NAA 3h, locally assigned; follows from the serial's first 16 digits
  bool operator==(const unit_identity&) const = default;
};

bool is_serial(const std::string& text);
/// A new serial of 128 random bits.
std::string make_serial(const std::function<std::uint64_t()>& random);
/// `serial` is one.
unit_identity identity_of(const std::string& serial);

/// Names of keys of the former format, by the unit's name.
std::string identity_key(const std::string& unit);
std::string reservations_key(const std::string& unit);
std::string mode_key(const std::string& unit);

}  // namespace sluice::state
