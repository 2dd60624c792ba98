#include "fabrics/rdma/verbs_partings.hpp"

#include <infiniband/verbs.h>

namespace sluice::rdma {
namespace {

constexpr std::uint64_t pause_ns = ns_per_s;  // the first: until the device knows that its link has gone
constexpr unsigned max_looks = 60;            // then it is destroyed whatever becomes of it

bool is_active(rdma_cm_id* id) {
  ibv_port_attr port{};
  return ibv_query_port(id->verbs, id->port_num, &port) != 0 || port.state == IBV_PORT_ACTIVE;
}

}  // namespace

void verbs_partings::add(rdma_cm_id* id) {
  all_.push_back({id, 0});
  if (!timer_.armed()) loop_.arm(timer_, pause_ns);
}

void verbs_partings::look() noexcept {
  std::erase_if(all_, [](parting& each) {
    if (++each.looks < max_looks && !is_active(each.id)) return false;
    rdma_destroy_id(each.id);
    return true;
  });
  if (!all_.empty()) loop_.arm(timer_, pause_ns);
}

void verbs_partings::end() {
  loop_.disarm(timer_);
  for (const parting& each : all_) rdma_destroy_id(each.id);
  all_.clear();
}

}  // namespace sluice::rdma
