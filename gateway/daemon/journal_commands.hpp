#pragma once
#include "config/cli/cli.hpp"

namespace sluice::daemon {

/// `sluice cache inspect` and `sluice cache resolve`, of flash or of a medium that no gateway has open; return the exit
/// status.
int inspect_journal(const config::journal_options& options);
int resolve_journal(const config::journal_options& options);

}  // namespace sluice::daemon
