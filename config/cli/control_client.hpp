#pragma once
#include <string>

#include <nlohmann/json.hpp>
#include <tl/expected.hpp>

namespace sluice::config {

/// Why a command failed: a sentence, and the protocol's code ("unreachable" when there is no gateway to ask).
struct call_error {
  std::string sentence;
  std::string code;
};

/// Asks the gateway behind the control socket, and waits for its answer at most `timeout_ms`. docs/control.md
tl::expected<nlohmann::json, call_error> call_gateway(const std::string& socket_path, const std::string& command,
                                                      const nlohmann::json& arguments, int timeout_ms = 120'000);

}  // namespace sluice::config
