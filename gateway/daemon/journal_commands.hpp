#pragma once
#include "config/cli/cli.hpp"
#include "tiers/store/store.hpp"

namespace sluice::daemon {

/// `sluice cache inspect` and `sluice cache resolve`, of flash or of a medium that no gateway has open; return the exit
/// status. `types` opens a store that is no file.
int inspect_journal(const config::journal_options& options, const store::registry& types);
int resolve_journal(const config::journal_options& options, const store::registry& types);

}  // namespace sluice::daemon
