#pragma once
#include "config/cli/cli.hpp"

namespace sluice::daemon {

/// `sluice cache simulate`: reads the trace, prints hit ratios by size. The exit status.
int simulate_cache(const config::simulate_options& options);

}  // namespace sluice::daemon
