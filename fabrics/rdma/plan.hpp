#pragma once
#include <span>
#include <vector>

#include "actors/memory/slab.hpp"
#include "fabrics/rdma/device.hpp"

namespace sluice::rdma {

/// The reads or writes that move all octets of `local`, in order, from or to `remote` at `offset` of its octets. They
/// are appended to `chain`, each with at most `max_parts` parts. What is beyond the remote pieces is left out.
void plan(request::kind what, std::span<const remote_piece> remote, std::uint64_t offset,
          std::span<const memory::slice> local, unsigned max_parts, std::vector<request>& chain);

}  // namespace sluice::rdma
