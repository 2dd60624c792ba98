#pragma once
#include <string>

#include "actors/base/result.hpp"
#include "gateway/reservations/types.hpp"

namespace sluice::reservations {

/// The state as octets that survive power loss (APTPL): a magic, a version, the registrants, a CRC32C over all of it.
/// PRGENERATION is left out: it starts anew with the gateway [SPC-4 6.15.2].
std::string serialise(const state& now);

/// Total: anything but what serialise() made, with the invariants of `state`, is errc::corrupt.
result<state> parse(std::string_view blob);

}  // namespace sluice::reservations
