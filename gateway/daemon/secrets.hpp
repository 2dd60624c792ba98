#pragma once
#include <map>
#include <memory>
#include <string>

#include "fabrics/port/fabric.hpp"
#include "gateway/access/directory.hpp"

namespace sluice::daemon {

/// What each fabric keeps with an access table, its secrets from their files, by fabric. Blocks on the file system.
result<std::map<std::string, std::shared_ptr<const port::credentials>>> read_secrets(const port::registry& fabrics,
                                                                                     const config::access_config& of);
/// Whether the files hold something else than what is in force. Those that cannot be read are for others to tell.
bool secrets_differ(const port::registry& fabrics, const access::directory& in_force, const std::string& target,
                    const config::access_config& now);

/// Form and threshold of the log, as configured.
void set_log_of(const config::gateway_config& config);

}  // namespace sluice::daemon
