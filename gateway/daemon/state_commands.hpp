#pragma once
#include <string>

namespace sluice::daemon {

/// `sluice state repair`: repairs a state directory and prints what it still knows, and what was lost. Returns the exit
/// status.
int repair_state_directory(const std::string& directory);

}  // namespace sluice::daemon
