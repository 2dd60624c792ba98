#pragma once
#include <functional>
#include <string>

#include "gateway/state/state_store.hpp"

namespace sluice::state {

/// Who a logical unit is, for ever: kept under the unit's name, whatever happens to the configuration file.
struct unit_identity {
  std::string serial;     // 32 lower-case hex digits
  std::uint64_t naa = 0;  // NAA 3h, locally assigned
  bool operator==(const unit_identity&) const = default;
};

/// The identity of unit `name`, made from `random` the first time and durable before this returns. errc::corrupt when
/// what is stored is not an identity: a new one would make initiators take the unit for another. Blocks, for start-up.
result<unit_identity> load_or_make_identity(state_store& store, const std::string& name,
                                            const std::function<std::uint64_t()>& random);

/// Names of keys, by the unit's name.
std::string identity_key(const std::string& unit);
std::string reservations_key(const std::string& unit);
std::string mode_key(const std::string& unit);

}  // namespace sluice::state
