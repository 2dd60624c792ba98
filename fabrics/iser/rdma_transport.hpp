#pragma once
#include "fabrics/iscsi/portal.hpp"
#include "fabrics/rdma/core_side.hpp"

namespace sluice::iser {

/// Connections by RDMA/CM, on the hosts of a gateway, which are made for the first portal.
std::unique_ptr<iscsi::transport> by_rdma(const std::vector<port::core_endpoint>& cores, rdma::host_maker make);

/// iSER over RDMA of this kind, as the registry has it.
port::fabric make_fabric(rdma::host_maker make);

}  // namespace sluice::iser
