#pragma once
#include <string>

#include "actors/base/result.hpp"

namespace sluice::vhost {

/// Why a text can be no owner, "USER" or "USER:GROUP" by name; empty when it can. Looks nobody up.
std::string owner_problem(const std::string& owner);
/// Gives a socket to an owner; with a group, that may use it as well (mode 0660). A no-op for an empty one. Blocks on
/// the system's lists of users.
result<void> give_socket_to(const std::string& path, const std::string& owner);

}  // namespace sluice::vhost
