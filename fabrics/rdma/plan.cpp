#include "fabrics/rdma/plan.hpp"

#include <algorithm>

namespace sluice::rdma {

void plan(request::kind what, std::span<const remote_piece> remote, std::uint64_t offset,
          std::span<const memory::slice> local, unsigned max_parts, std::vector<request>& chain) {
  auto part = local.begin();
  std::uint32_t used = 0;  // octets of *part
  for (const remote_piece& piece : remote) {
    if (offset >= piece.length) {
      offset -= piece.length;
      continue;
    }
    std::uint64_t address = piece.address + offset;
    std::uint64_t left = piece.length - offset;
    offset = 0;
    while (left > 0 && part != local.end()) {
      request r;
      r.what = what;
      r.remote_key = piece.key;
      r.remote_address = address;
      while (left > 0 && part != local.end() && r.part_count < max_parts) {
        const auto octets = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, part->size() - used));
        if (octets > 0) r.parts[r.part_count++] = {part->data() + used, octets};
        left -= octets;
        address += octets;
        used += octets;
        if (used == part->size()) {
          ++part;
          used = 0;
        }
      }
      if (r.part_count > 0) chain.push_back(r);
    }
    if (part == local.end()) return;
  }
}

}  // namespace sluice::rdma
