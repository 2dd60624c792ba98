#pragma once
#include "tiers/cache/cache_core.hpp"
#include "tiers/store/store.hpp"

namespace sluice::cache {

/// What the keys of a cache say; errc::invalid_argument with a sentence.
result<options> read_options(const config::settings& from);

/// Adds the store type "cache".
void register_store(store::registry& to);

}  // namespace sluice::cache
