#include "fabrics/rdma/verbs.hpp"
#include "fabrics/srp/srp_fabric.hpp"

namespace sluice::srp {

/// SRP by RDMA/CM [INCITS 365-2002, draft r16a].
void register_fabric(port::registry& fabrics) {
  fabrics.add(make_fabric(rdma::verbs_hosts()));
}

}  // namespace sluice::srp
