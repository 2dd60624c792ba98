#pragma once
#include "tiers/store/store.hpp"

namespace sluice::file {

/// Adds the store type "file".
void register_store(store::registry& to);

}  // namespace sluice::file
