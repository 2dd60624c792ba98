#pragma once
#include "tiers/store/store.hpp"

namespace sluice::cache {

/// Adds the store type "cache".
void register_store(store::registry& to);

}  // namespace sluice::cache
