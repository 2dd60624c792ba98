#pragma once
#include "config/cli/cli.hpp"

namespace sluice::daemon {

/// Runs a gateway in the foreground until SIGTERM or SIGINT; returns the exit status.
int serve(const config::model& model, const config::serve_options& options, const config::known_types& known);
/// `sluice demo`: a gateway with a RAM and a file unit on loopback; needs no root and no file. Returns the exit status.
int demo(const config::demo_options& options, const config::known_types& known);

}  // namespace sluice::daemon
