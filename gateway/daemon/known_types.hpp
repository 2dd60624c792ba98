#pragma once
#include "config/schema/sections.hpp"
#include "fabrics/port/fabric.hpp"
#include "tiers/store/store.hpp"

namespace sluice::daemon {

/// What every store and fabric of this build says of the configuration.
config::known_types known_types();
/// The registries that it comes from; made once.
const store::registry& all_stores();
const port::registry& all_fabrics();

}  // namespace sluice::daemon
