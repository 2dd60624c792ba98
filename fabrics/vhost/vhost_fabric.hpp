#pragma once
#include "config/schema/model.hpp"
#include "fabrics/port/fabric.hpp"
#include "fabrics/vhost/port_state.hpp"

namespace sluice::vhost {

/// The rules of the configuration: keys, names, sockets.
config::fabric_rules rules();
port_settings settings_of(const config::port_config& port);

/// vhost-user-scsi, as the registry has it.
port::fabric make_fabric(mapper map);

}  // namespace sluice::vhost
