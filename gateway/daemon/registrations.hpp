#pragma once
#include "fabrics/port/fabric.hpp"
#include "tiers/store/store.hpp"

namespace sluice::daemon {

/// Registers every store and fabric of this build; written by CMake from the modules that there are.
void register_everything(store::registry& stores, port::registry& fabrics);

}  // namespace sluice::daemon
