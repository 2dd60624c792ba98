#include "tiers/journal/journal_index.hpp"

#include <bit>

// One core writes, all read, without a lock. A chain hangs at each head; a slot of the log is its own node. What makes
// that safe:
//   - a node is whole before the head points to it (release, then acquire), and only the head ever gains a node;
//   - a newer version of a block goes in front before the older one is taken out behind it: a reader finds one of them;
//   - a node that was taken out keeps its `next`, so that a reader who stands on it comes back to the chain;
//   - a slot is used anew only after free_removed() has counted freed_ on. A reader who sees that count move looks
//   again:
//     only then may what it walked over have become part of another chain.
namespace sluice::journal {
namespace {

constexpr std::uint64_t block_mask = (std::uint64_t{1} << kind_shift) - 1;
constexpr unsigned steps_per_look = 64;

}  // namespace

journal_index::journal_index(slot slots)
    : mask_(std::bit_ceil(std::size_t{slots}) - 1), heads_(mask_ + 1), nodes_(slots) {}

/// Blocks come in stretches: the multiplication spreads neighbours, the shifts bring the upper half of the word down.
std::size_t journal_index::head_of(block_number block) const noexcept {
  std::uint64_t mixed = (block ^ block >> 32) * 0x9e3779b97f4a7c15U;
  mixed ^= mixed >> 29;
  return mixed & mask_;
}

block_number journal_index::block_at(slot where) const noexcept {
  return nodes_[where].word.load(std::memory_order_acquire) & block_mask;
}

journal_index::place journal_index::place_at(slot where) const noexcept {
  const node& at = nodes_[where];
  return {where, static_cast<kind>(at.word.load(std::memory_order_acquire) >> kind_shift),
          at.crc.load(std::memory_order_acquire)};
}

std::optional<journal_index::place> journal_index::find(block_number block) const noexcept {
  for (;;) {
    const std::uint64_t before = freed();
    std::optional<place> found;
    unsigned steps = 0;
    for (slot next = heads_[head_of(block)].load(std::memory_order_acquire); next != 0;) {
      const slot here = next - 1;
      if (block_at(here) == block) {
        found = place_at(here);
        break;
      }
      next = nodes_[here].next.load(std::memory_order_acquire);
      // A slot that is used anew may have led into another chain.
      if (++steps % steps_per_look == 0 && freed_.load(std::memory_order_seq_cst) != before) break;
    }
    if (freed_.load(std::memory_order_seq_cst) == before) return found;
  }
}

void journal_index::insert(block_number block, const place& at) noexcept {
  const std::size_t head = head_of(block);
  const slot first = heads_[head].load(std::memory_order_relaxed);  // its only writer is this core
  node& fresh = nodes_[at.where];
  fresh.word.store(block | static_cast<std::uint64_t>(at.what) << kind_shift, std::memory_order_release);
  fresh.crc.store(at.crc, std::memory_order_release);
  fresh.next.store(first, std::memory_order_release);
  heads_[head].store(at.where + 1, std::memory_order_release);
  // The version before is behind the new one in the same chain; there is one at most.
  slot before = at.where;
  for (slot next = first; next != 0; next = nodes_[before].next.load(std::memory_order_relaxed)) {
    if (block_at(next - 1) == block) return unlink(head, before, next - 1);
    before = next - 1;
  }
  count_.fetch_add(1, std::memory_order_release);
}

void journal_index::unlink(std::size_t head, slot before, slot which) noexcept {
  const slot after = nodes_[which].next.load(std::memory_order_relaxed);
  (before == no_slot ? heads_[head] : nodes_[before].next).store(after, std::memory_order_release);
}

void journal_index::remove(block_number block, slot where) noexcept {
  const std::size_t head = head_of(block);
  slot before = no_slot;
  for (slot next = heads_[head].load(std::memory_order_relaxed); next != 0;
       next = nodes_[before].next.load(std::memory_order_relaxed)) {
    if (next - 1 == where) {
      if (block_at(where) != block) return;  // the slot has something newer already
      unlink(head, before, where);
      count_.fetch_sub(1, std::memory_order_release);
      return;
    }
    before = next - 1;
  }
}

}  // namespace sluice::journal
