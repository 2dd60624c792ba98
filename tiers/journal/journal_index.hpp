#pragma once
#include <atomic>
#include <cstdint>
#include <optional>

#include "actors/memory/zeroed_array.hpp"
#include "tiers/journal/journal_format.hpp"

namespace sluice::journal {

/// Where the newest version of each dirty block lies: chains of slots, newest first. One thread changes it, the owner
/// of the journal; any thread looks. 24 octets for each block of the log.
///
/// A slot that the log has let go of may be written anew at once. So whoever finds a block notes freed() before, and
/// believes what it read from flash only when freed() is the same afterwards, or the block is still found there.
class journal_index {
 public:
  explicit journal_index(slot slots);

  struct place {
    slot where = no_slot;
    kind what = kind::data;
    std::uint32_t crc = 0;
    bool operator==(const place&) const = default;
  };

  // -- any thread ----------------------------------------------------------------------------------------------------
  bool empty() const noexcept { return blocks() == 0; }
  std::uint64_t blocks() const noexcept { return count_.load(std::memory_order_acquire); }
  std::optional<place> find(block_number block) const noexcept;
  /// Changes before slots that were let go of are used anew.
  std::uint64_t freed() const noexcept { return freed_.load(std::memory_order_seq_cst); }
  std::uint64_t memory_bytes() const noexcept { return nodes_.bytes() + heads_.bytes(); }

  // -- the owner ------------------------------------------------------------------------------------------------------
  /// The block's newest version; an older one is forgotten.
  void insert(block_number block, const place& at) noexcept;
  /// What was removed so far may be used anew.
  void free_removed() noexcept { freed_.fetch_add(1, std::memory_order_seq_cst); }
  /// Forgets the block if its newest version lies there.
  void remove(block_number block, slot where) noexcept;
  /// What insert() was told of a slot, whether or not there is something newer; until the slot is used anew.
  block_number block_at(slot where) const noexcept;
  place place_at(slot where) const noexcept;

 private:
  struct node {
    std::atomic<std::uint64_t> word;  // block, and above it the kind
    std::atomic<std::uint32_t> crc;
    std::atomic<slot> next;  // plus one
  };
  std::size_t head_of(block_number block) const noexcept;
  void unlink(std::size_t head, slot before, slot which) noexcept;

  std::size_t mask_;
  memory::zeroed_array<std::atomic<slot>> heads_;  // plus one; 0: nothing
  memory::zeroed_array<node> nodes_;
  std::atomic<std::uint64_t> count_ = 0;
  std::atomic<std::uint64_t> freed_ = 0;
};

}  // namespace sluice::journal
