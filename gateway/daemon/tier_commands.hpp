#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "gateway/daemon/gateway.hpp"

namespace sluice::daemon {

/// Does a command "cache.…" of the control protocol for a store over a store. docs/control.md
result<nlohmann::json> do_tier_command(gateway& of, const std::string& command, const nlohmann::json& arguments);

}  // namespace sluice::daemon
