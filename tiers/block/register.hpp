#pragma once
#include "tiers/store/store.hpp"

namespace sluice::block {

/// Adds the store type "block".
void register_store(store::registry& to);

}  // namespace sluice::block
