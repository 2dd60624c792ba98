#pragma once
#include "tiers/store/store.hpp"

namespace sluice::fault {

/// Adds the store type "fault".
void register_store(store::registry& to);

}  // namespace sluice::fault
