#pragma once
#include <memory>
#include <vector>

#include "fabrics/port/fabric.hpp"
#include "fabrics/rdma/device.hpp"

namespace sluice::rdma {

/// One core as a fabric over RDMA has it.
struct core_side {
  port::core_endpoint where;
  std::unique_ptr<rdma::host> host;  // used on that core's loop; null until start_hosts()
};
using core_sides = std::vector<std::unique_ptr<core_side>>;

core_sides sides_of(const std::vector<port::core_endpoint>& cores);
/// Makes the hosts that are not there yet. Where no RDMA device is, only a port that wants one hears of it. Control
/// thread.
result<void> start_hosts(const core_sides& cores, const host_maker& make);
/// Closes and destroys them, which takes turns of the loops. No listener or connection is left. Control thread.
void close_hosts(const core_sides& cores);

}  // namespace sluice::rdma
