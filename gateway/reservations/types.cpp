#include "gateway/reservations/types.hpp"

#include <algorithm>

namespace sluice::reservations {

bool is_type(std::uint8_t value) {
  switch (static_cast<type>(value)) {
    case type::write_exclusive:
    case type::exclusive_access:
    case type::write_exclusive_registrants_only:
    case type::exclusive_access_registrants_only:
    case type::write_exclusive_all_registrants:
    case type::exclusive_access_all_registrants:
      return true;
    case type::none:
      break;
  }
  return false;
}

const registrant* state::find(const i_t& who) const {
  const auto it =
      std::find_if(registrants.begin(), registrants.end(), [&](const registrant& r) { return r.who == who; });
  return it == registrants.end() ? nullptr : &*it;
}

bool state::holds(const i_t& who) const {
  if (!reserved()) return false;
  return is_all_registrants(type) ? find(who) != nullptr : holder == who;
}

}  // namespace sluice::reservations
