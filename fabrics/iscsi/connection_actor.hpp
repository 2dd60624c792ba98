#pragma once
#include "fabrics/iscsi/core_connections.hpp"

namespace sluice::runtime {
class core;
}

namespace sluice::iscsi {

/// Owns the connections of a core that have a session: each is brought its messages by an actor, which ends by itself
/// when the connection has ended.
core_connections::session_owner connection_actors(runtime::core& on);

}  // namespace sluice::iscsi
