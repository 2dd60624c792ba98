#pragma once
#include <cstdint>
#include <vector>

#include "tiers/cache/policy/policy.hpp"

namespace sluice::cache {

/// The numbers of blocks that gave way lately, first in first out, without their data: 24 octets each at most.
class ghost_queue {
 public:
  explicit ghost_queue(std::uint32_t capacity);

  std::uint32_t size() const { return entries_.size(); }
  std::uint32_t capacity() const { return static_cast<std::uint32_t>(keys_.size()); }
  bool contains(block_number key) const noexcept { return find(key) != no_slot; }
  /// Remembers `key` as the newest; the oldest is forgotten when there is no room. A key that is there becomes newest.
  void insert(block_number key) noexcept;
  /// Forgets `key`; whether it was there.
  bool erase(block_number key) noexcept;
  void forget_oldest() noexcept;
  std::uint64_t memory_bytes() const noexcept;

 private:
  slot find(block_number key) const noexcept;
  std::uint32_t slot_of(block_number key) const noexcept;
  void unlink(slot entry) noexcept;

  std::vector<block_number> keys_;
  slot_links links_;
  slot_list entries_{links_};
  std::vector<slot> free_;
  std::vector<slot> index_;  // open addressing, linear probing
  std::uint32_t mask_;
};

}  // namespace sluice::cache
