#pragma once
#include <functional>
#include <memory>

#include "tests/sim/flush_log.hpp"
#include "tests/sim/plants.hpp"

namespace sluice::sim {

/// A store whose flushes are written down, and perhaps spoilt by a planted bug; all else passes as it is.
/// `selecting`: whether a MODE SELECT is in flight.
std::shared_ptr<store::store> tap_flushes(std::shared_ptr<store::store> below, flush_log& into, plant bug,
                                          std::function<bool()> selecting);

}  // namespace sluice::sim
