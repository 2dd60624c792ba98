#pragma once
#include "ceph/rbd/options.hpp"
#include "tiers/store/store.hpp"

namespace sluice::rbd {

void register_store(store::registry& to);

/// The options that a table's settings say; what cannot be is refused with a sentence.
result<options> options_of(const config::settings& settings);

}  // namespace sluice::rbd
