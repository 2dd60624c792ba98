#pragma once
#include <cstdint>

#include "tiers/cache/policy/hash.hpp"
#include "tiers/cache/policy/policy.hpp"

/// How a store is cut up: blocks are what a tier keeps, extents are what shards share out among themselves.
namespace sluice::cache {

inline constexpr std::uint64_t block_bytes = 4096;
inline constexpr std::uint64_t extent_blocks = 32;
inline constexpr unsigned shard_count = 16;
/// Larger stores have no room in a way of the index.
inline constexpr std::uint64_t largest_store_blocks = (std::uint64_t{1} << 40) - 2;

/// Where a block belongs. Neighbours in an extent share the shard.
struct place {
  explicit place(block_number block)
      : hash(mix(block / extent_blocks)), within(static_cast<unsigned>(block % extent_blocks)) {}
  unsigned shard() const { return static_cast<unsigned>(hash >> 60); }
  std::uint64_t hash;
  unsigned within;
};
static_assert(shard_count == 16, "place::shard() takes four bits");

}  // namespace sluice::cache
