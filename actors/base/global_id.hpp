#pragma once
#include <cstdint>

namespace sluice {

/// A gateway among those that serve the same units; 0 where there is one only.
using gateway_id = std::uint16_t;

/// Numbers that are compared beyond the gateway that drew them (of nexuses, of range locks) say which one that was: 16
/// bits of gateway, 48 of its own count. A count may wrap; what it counts is gone long before. Of gateway 0, the number
/// is the count itself. A gateway that starts again counts from 1 again: by then the coordinator has dropped all that
/// its former nexuses held (agreement::join).
constexpr unsigned local_id_bits = 48;
constexpr std::uint64_t global_id(gateway_id gateway, std::uint64_t count) {
  return static_cast<std::uint64_t>(gateway) << local_id_bits | (count & ((std::uint64_t{1} << local_id_bits) - 1));
}
constexpr gateway_id gateway_of(std::uint64_t id) {
  return static_cast<gateway_id>(id >> local_id_bits);
}

}  // namespace sluice
