#pragma once
#include <string>

#include "actors/base/result.hpp"

namespace sluice::control {

/// Tells the service manager, by the sd_notify protocol: "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=…",
/// "STATUS=…". Nothing happens when $NOTIFY_SOCKET is not set.
result<void> notify_service_manager(const std::string& state);

}  // namespace sluice::control
