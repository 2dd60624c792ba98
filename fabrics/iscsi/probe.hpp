#pragma once
#include <string>
#include <vector>

#include "fabrics/port/fabric.hpp"

namespace sluice::iscsi {

/// Whether a port could listen where it is to; `held` are addresses that portals of this gateway have already, which
/// ports share. Binds a socket for a moment and listens on none. Any thread.
result<void> probe(const config::port_config& wanted, const std::vector<std::string>& held);

}  // namespace sluice::iscsi
