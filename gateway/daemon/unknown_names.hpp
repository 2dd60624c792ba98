#pragma once
#include <string>

#include "actors/base/result.hpp"

namespace sluice::daemon {

struct running_snapshot;

/// errc::not_found: nothing of that name runs, with the name that was meant perhaps.
tl::unexpected<error> no_unit(const running_snapshot& seen, const std::string& name);
tl::unexpected<error> no_store(const running_snapshot& seen, const std::string& name);

}  // namespace sluice::daemon
