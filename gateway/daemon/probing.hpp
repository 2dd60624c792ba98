#pragma once
#include "config/schema/diagnostic.hpp"
#include "config/schema/model.hpp"
#include "tiers/store/store.hpp"

namespace sluice::daemon {

/// Looks for the media of a model's stores, and changes nothing: for `sluice check --probe`, where no gateway runs.
/// Returns what keeps a gateway from starting; what is legal and most likely not meant goes to `warnings`. Blocks.
config::diagnostics probe_media(const config::model& model, const store::registry& types,
                                config::diagnostics& warnings);

}  // namespace sluice::daemon
