#include "fabrics/iser/rdma_transport.hpp"
#include "fabrics/rdma/verbs.hpp"

namespace sluice::iser {

/// iSER by RDMA/CM [RFC7145].
void register_fabric(port::registry& fabrics) {
  fabrics.add(make_fabric(rdma::verbs_hosts()));
}

}  // namespace sluice::iser
