#pragma once
#include "tiers/store/store.hpp"

namespace sluice::ram {

/// Adds the store type "ram".
void register_store(store::registry& to);

}  // namespace sluice::ram
