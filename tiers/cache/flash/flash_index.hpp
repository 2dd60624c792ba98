#pragma once
#include <atomic>
#include <cstdint>

#include "actors/memory/zeroed_array.hpp"
#include "tiers/cache/policy/geometry.hpp"
#include "tiers/cache/policy/slot_list.hpp"

namespace sluice::cache {

/// Which block lies in which slot of the flash, for every core without a lock: entries come and go by compare-and-swap.
/// A set that is full forgets one of its blocks. 13 octets for each slot.
class flash_index {
 public:
  static constexpr unsigned ways_count = 8;
  static constexpr unsigned slot_bits = 28;
  static constexpr std::uint64_t max_slots = std::uint64_t{1} << slot_bits;
  static constexpr block_number max_blocks = (block_number{1} << (64 - slot_bits)) - 2;

  explicit flash_index(std::uint64_t slots) : sets_(slots / 5 + 8) {}

  std::size_t sets() const { return sets_.size(); }
  std::uint64_t memory_bytes() const { return sets_.bytes(); }

  /// The block's slot; no_slot when there is none.
  slot find(block_number block) const noexcept {
    for (const auto& way : set_of(block).ways) {
      const std::uint64_t entry = way.load(std::memory_order_seq_cst);
      if (entry >> slot_bits == block + 1) return slot_of(entry);
    }
    return no_slot;
  }
  /// The block lies in `s` from now on, and nowhere else.
  void insert(block_number block, slot s) noexcept {
    const std::uint64_t entry = (block + 1) << slot_bits | s;
    set& in = set_of(block);
    remove(block);
    for (auto& way : in.ways) {
      std::uint64_t seen = 0;
      if (way.load(std::memory_order_relaxed) == 0 && way.compare_exchange_strong(seen, entry)) return;
    }
    in.ways[(s ^ block) % ways_count].store(entry, std::memory_order_seq_cst);
  }
  void remove(block_number block) noexcept {
    for (auto& way : set_of(block).ways) {
      std::uint64_t entry = way.load(std::memory_order_seq_cst);
      if (entry >> slot_bits == block + 1) way.compare_exchange_strong(entry, 0);
    }
  }
  /// The block, as long as it lies in `s`.
  void remove(block_number block, slot s) noexcept {
    std::uint64_t entry = (block + 1) << slot_bits | s;
    for (auto& way : set_of(block).ways) {
      std::uint64_t seen = entry;
      way.compare_exchange_strong(seen, 0);
    }
  }
  /// All blocks of [first, last) that lie in sets [from, to).
  void remove_in_sets(std::size_t from, std::size_t to, block_number first, block_number last) noexcept {
    for (std::size_t at = from; at < to; ++at)
      for (auto& way : sets_[at].ways) {
        std::uint64_t entry = way.load(std::memory_order_seq_cst);
        const block_number block = (entry >> slot_bits) - 1;
        if (entry != 0 && block >= first && block < last) way.compare_exchange_strong(entry, 0);
      }
  }

 private:
  struct alignas(64) set {
    std::atomic<std::uint64_t> ways[ways_count];  // (block + 1) << slot_bits | slot; 0: free
  };
  static slot slot_of(std::uint64_t entry) { return static_cast<slot>(entry & (max_slots - 1)); }
  set& set_of(block_number block) const { return sets_[mix(block) % sets_.size()]; }

  memory::zeroed_array<set> sets_;
};

}  // namespace sluice::cache
