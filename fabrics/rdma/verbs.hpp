#pragma once
#include "fabrics/rdma/device.hpp"

namespace sluice::rdma {

/// Hosts on the RDMA devices of this machine, by librdmacm and libibverbs.
host_maker verbs_hosts();

}  // namespace sluice::rdma
