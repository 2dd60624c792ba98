#pragma once
#include <rdma/rdma_cma.h>

#include <vector>

#include "actors/reactor/loop.hpp"

namespace sluice::rdma {

/// Identifiers of connections whose queue pair broke by itself, which may be because the link has gone. To destroy one
/// is to tell the peer, and a message that the device cannot send is worse than a late one: rdma_rxe never receives a
/// message of the connection manager again after it. So the peer hears of it when the port is active. On one loop.
class verbs_partings {
 public:
  explicit verbs_partings(reactor::loop& on) : loop_(on) {}
  ~verbs_partings() { end(); }
  /// Takes over an identifier without a queue pair, of which nobody wants to hear any more.
  void add(rdma_cm_id* id);
  /// Destroys all of them at once.
  void end();

 private:
  struct parting {
    rdma_cm_id* id = nullptr;
    unsigned looks = 0;
  };
  void look() noexcept;

  reactor::loop& loop_;
  std::vector<parting> all_;
  reactor::member_timer<verbs_partings, &verbs_partings::look> timer_{*this};
};

}  // namespace sluice::rdma
