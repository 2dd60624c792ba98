#pragma once
#include "tiers/cache/policy/geometry.hpp"
#include "tiers/cache/policy/policy.hpp"
#include "tiers/store/store.hpp"

namespace sluice::cache {

/// The blocks of a cache that a request touches, also in part: from the first to before the end.
inline block_number first_block(const store::request& r) {
  return r.offset_bytes / block_bytes;
}
inline block_number end_block(const store::request& r) {
  return (r.offset_bytes + r.length_bytes + block_bytes - 1) / block_bytes;
}

}  // namespace sluice::cache
