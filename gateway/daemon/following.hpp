#pragma once
#include <set>

#include "gateway/daemon/running.hpp"

/// Units follow what changes around them: their configuration, their medium, the ports that show them.
namespace sluice::daemon {

/// Tells the units of these names what differs, and initiators hear of it. Blocks; control thread.
void follow_units(running& now, const running_snapshot& seen, const std::set<std::string>& names);
/// All units. Stores that were changing go on when that is through.
void follow_media(running& now);
/// Tells every unit whose target port groups are others.
void follow_ports(running& now, const running_snapshot& seen);

}  // namespace sluice::daemon
