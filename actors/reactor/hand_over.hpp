#pragma once
#include "actors/reactor/loop.hpp"

namespace sluice::reactor {

/// Another loop of the gateway uses a connected socket from now on: `from` keeps nothing of it. Nothing of the handle
/// may be in flight. On `from`'s own thread.
void hand_over_socket(loop& from, handle h) noexcept;

}  // namespace sluice::reactor
