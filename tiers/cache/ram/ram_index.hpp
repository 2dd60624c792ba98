#pragma once
#include <atomic>
#include <cstdint>
#include <cstring>

#include "actors/memory/zeroed_array.hpp"
#include "tiers/cache/ram/frame_copy.hpp"
#include "tiers/cache/ram/frame_memory.hpp"

/// The part of a RAM shard that every core touches, without a lock: which blocks are there, and which are being
/// written.
///
/// One thread, the shard's owner, decides what is cached: it alone puts entries into the index and makes frames valid.
/// Any thread may look up and copy, and any thread that is about to write a block below says so first, which makes what
/// is cached of it invalid at once. Three rules keep every reader from stale data:
///
///  1. begin_write() counts in the block's set before it looks for the block; the owner puts the block into the index
///     before it looks at the count. Whatever the order, one of the two sees the other.
///  2. A frame becomes valid by a compare-and-swap of its version; a writer that found the frame changed the version.
///  3. A reader copies and then looks whether the version is still what it was.
///
/// How data get into frames and out of them meanwhile: frame_copy.hpp.
namespace sluice::cache {

struct alignas(32) frame {
  std::atomic<std::uint64_t> word;    // version << 1 | valid; the version never comes back
  std::atomic<block_number> block;    // meaningful while an entry points here
  std::atomic<std::uint8_t*> memory;  // block_bytes octets
  frame_memory::loan loan;            // the owner's, as what follows
  bool holds;                         // `memory` is this frame's

  bool valid() const { return (word.load(std::memory_order_acquire) & 1) != 0; }
  /// Any thread. Whatever was being read or filled here is void.
  void invalidate() noexcept {
    std::uint64_t seen = word.load(std::memory_order_seq_cst);
    while (!word.compare_exchange_weak(seen, (seen & 1) != 0 ? seen + 1 : seen + 2, std::memory_order_seq_cst)) {
    }
  }
};

/// The count of writes to the blocks of a set: how many began or ended (upper half), how many are under way (lower
/// half).
class write_count {
 public:
  static constexpr std::uint64_t event = std::uint64_t{1} << 32;
  static constexpr std::uint64_t no_fill_version = 1;  // not quiet, and no count that a write ever sees
  static bool quiet(std::uint64_t count) { return (count & (event - 1)) == 0; }
};

struct alignas(64) index_set {
  static constexpr unsigned ways_count = 7;
  std::atomic<std::uint64_t> writes;
  std::atomic<std::uint64_t> ways[ways_count];  // entry: (block + 1) << 24 | slot; 0: free
};

class ram_index {
 public:
  static constexpr std::uint32_t max_frames = 1U << 24;

  explicit ram_index(std::uint32_t frames) : sets_(frames / 3 + extent_blocks), frames_(frames) {}

  std::size_t sets() const { return sets_.size(); }
  index_set& set_at(std::size_t number) const { return sets_[number]; }
  index_set& set_of(const place& p) const {
    std::size_t number = p.hash % sets_.size() + p.within;
    if (number >= sets_.size()) number -= sets_.size();
    return sets_[number];
  }
  frame& frame_at(slot s) const { return frames_[s]; }

  static std::uint64_t entry_of(block_number block, slot s) { return (block + 1) << 24 | s; }
  static block_number block_of(std::uint64_t entry) { return (entry >> 24) - 1; }
  static slot slot_of(std::uint64_t entry) { return static_cast<slot>(entry & (max_frames - 1)); }

  /// The slot whose entry names the block; no_slot when there is none.
  static slot find(const index_set& set, block_number block) {
    for (const auto& way : set.ways) {
      const std::uint64_t entry = way.load(std::memory_order_seq_cst);
      if (entry >> 24 == block + 1) return slot_of(entry);
    }
    return no_slot;
  }

  // -- any thread: reads ----------------------------------------------------------------------------------------
  /// What set.writes must still be when data that is read below from now on comes to be cached.
  static std::uint64_t fill_version(const index_set& set) { return set.writes.load(std::memory_order_seq_cst); }
  /// The slot where the block can be read now; no_slot when it is not there.
  slot find_valid(const index_set& set, block_number block) const {
    const slot s = find(set, block);
    return s != no_slot && frames_[s].valid() ? s : no_slot;
  }
  /// Begins to read a frame: its version, for still(); 0 when the block is not there.
  std::uint64_t open(slot s, block_number block) const noexcept {
    const std::uint64_t version = frames_[s].word.load(std::memory_order_acquire);
    const bool there = (version & 1) != 0 && frames_[s].block.load(std::memory_order_relaxed) == block;
    return there ? version : 0;
  }
  /// Copies `length` octets at `offset` of the frame. `owned`: the caller is the shard's owner.
  void copy(slot s, std::uint64_t offset, std::uint8_t* to, std::uint64_t length, bool owned) const noexcept;
  /// Whether all that was copied since open() is the block's.
  bool still(slot s, std::uint64_t version) const noexcept {
    return frames_[s].word.load(std::memory_order_acquire) == version;
  }

  // -- any thread: writes ---------------------------------------------------------------------------------------
  /// Before the block is written below. Returns set.writes as it is afterwards.
  std::uint64_t begin_write(index_set& set, block_number block) const noexcept {
    const std::uint64_t added = write_count::event + 1;
    const std::uint64_t now = set.writes.fetch_add(added, std::memory_order_seq_cst) + added;
    if (const slot s = find(set, block); s != no_slot) frames_[s].invalidate();
    return now;
  }
  /// After it was. Returns set.writes as it is afterwards: a fill version for what was written, when nothing else
  /// happened in the set meanwhile, that is when `begun` plus what this adds is the same.
  static std::uint64_t end_write(index_set& set) noexcept {
    const std::uint64_t added = write_count::event - 1;
    return set.writes.fetch_add(added, std::memory_order_seq_cst) + added;
  }
  static bool undisturbed(std::uint64_t begun, std::uint64_t ended) {
    return ended == begun + write_count::event - 1 && write_count::quiet(ended);
  }

  std::uint64_t memory_bytes() const { return sets_.bytes() + frames_.bytes(); }

 private:
  memory::zeroed_array<index_set> sets_;
  memory::zeroed_array<frame> frames_;
};

inline void ram_index::copy(slot s, std::uint64_t offset, std::uint8_t* to, std::uint64_t length,
                            bool owned) const noexcept {
  std::uint8_t* const from = frames_[s].memory.load(std::memory_order_acquire) + offset;
  if (owned) {
    std::memcpy(to, from, length);
    return;
  }
  copy_from_frame(to, from, length);
}

}  // namespace sluice::cache
