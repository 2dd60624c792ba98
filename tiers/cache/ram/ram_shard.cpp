#include "tiers/cache/ram/ram_shard.hpp"

#include <utility>

namespace sluice::cache {

ram_shard::ram_shard(std::uint32_t frames, bool counts_misses)
    : capacity_(frames),
      index_(frames),
      policy_(frames),
      misses_(counts_misses ? std::make_unique<frequency_sketch>(frames) : nullptr) {
  SLUICE_CHECK(frames != 0 && frames <= ram_index::max_frames);
}

std::uint64_t ram_shard::overhead_bytes() const noexcept {
  return index_.memory_bytes() + policy_.memory_bytes() + (misses_ ? misses_->memory_bytes() : 0) +
         capacity_ * (sizeof(slot) + sizeof(std::uint32_t));
}

void ram_shard::unlink(slot s) noexcept {
  frame& f = index_.frame_at(s);
  const block_number block = f.block.load(std::memory_order_relaxed);
  const std::uint64_t entry = ram_index::entry_of(block, s);
  for (auto& way : index_.set_of(place(block)).ways)
    // Only the owner changes ways, so its own loads need no order. A reader that still has the slot finds the frame
    // invalid.
    if (way.load(std::memory_order_relaxed) == entry) way.store(0, std::memory_order_release);
  f.invalidate();
  used_.store(used_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

/// What leaves is offered to the sink while it is sure to be what the store below holds.
void ram_shard::pass_on(slot s, bool warm, eviction_sink& sink) const noexcept {
  const frame& f = index_.frame_at(s);
  const block_number block = f.block.load(std::memory_order_relaxed);
  if (!warm && !(misses_ && misses_->estimate(block) > 1)) return;
  const index_set& set = index_.set_of(place(block));
  const std::uint64_t fill_version = ram_index::fill_version(set);
  if (write_count::quiet(fill_version) && f.valid())
    sink.evicted(block, fill_version, set, f.memory.load(std::memory_order_relaxed));
}

slot ram_shard::take_frame(block_number incoming, eviction_sink* sink) noexcept {
  if (!free_.empty()) {
    const slot s = free_.back();
    free_.pop_back();
    return s;
  }
  if (fresh_ < capacity_) return fresh_++;
  const slot s = policy_.victim(incoming);
  if (sink) pass_on(s, policy_.victim_was_warm(), *sink);
  unlink(s);
  return s;
}

/// A set that is full makes room itself, though the tier as a whole may have some: first by what is void, then by what
/// was seen once.
std::atomic<std::uint64_t>& ram_shard::free_way(index_set& set, eviction_sink* sink) noexcept {
  unsigned chosen = next_way_ = (next_way_ + 1) % index_set::ways_count;
  int worth = 3;
  for (unsigned i = 0; i < index_set::ways_count; ++i) {
    const std::uint64_t entry = set.ways[i].load(std::memory_order_relaxed);
    if (entry == 0) return set.ways[i];
    const slot s = ram_index::slot_of(entry);
    const int this_worth = !index_.frame_at(s).valid() ? 0 : policy_.is_pinned(s) ? 3 : policy_.is_warm(s) ? 2 : 1;
    if (this_worth >= worth) continue;
    worth = this_worth;
    chosen = i;
  }
  const slot s = ram_index::slot_of(set.ways[chosen].load(std::memory_order_relaxed));
  if (sink) pass_on(s, policy_.is_warm(s), *sink);
  policy_.removed(s);
  unlink(s);
  free_.push_back(s);
  return set.ways[chosen];
}

/// Sees that the frame has memory that is not lent: who borrowed some keeps it as it is.
bool ram_shard::has_memory(frame& f, frame_memory& from) noexcept {
  if (f.holds && !from.is_lent(f.loan)) return true;
  std::uint8_t* const taken = from.take();
  if (!taken) return false;
  if (f.holds) from.give_back(f.memory.load(std::memory_order_relaxed), f.loan);
  // Other cores may still copy from the memory before; they find another version afterwards. The memory itself stays
  // mapped for as long as the cache lives.
  f.memory.store(taken, std::memory_order_release);
  f.loan = 0;
  f.holds = true;
  return true;
}

bool ram_shard::put(block_number block, std::uint64_t fill_version, const std::uint8_t* content, keep how,
                    frame_memory& from, eviction_sink* sink) noexcept {
  if (!write_count::quiet(fill_version)) return false;
  index_set& set = index_.set_of(place(block));
  // A look that saves work; the one that counts comes when the block is in the index.
  if (ram_index::fill_version(set) != fill_version) return false;
  slot s = ram_index::find(set, block);
  std::uint64_t version;
  if (s != no_slot) {
    version = index_.frame_at(s).word.load(std::memory_order_seq_cst);
    if ((version & 1) != 0) return true;
    policy_.hit(s);
  } else {
    if (how == keep::if_there) return false;
    if (misses_) misses_->add(block);
    s = take_frame(block, sink);
    auto& way = free_way(set, sink);
    frame& f = index_.frame_at(s);
    f.block.store(block, std::memory_order_relaxed);
    version = f.word.load(std::memory_order_seq_cst);
    // Rule 1: the entry first, then the count below. The version was read before the entry was there: a writer that
    // finds the entry changes it, and the exchange at the end fails.
    way.store(ram_index::entry_of(block, s), std::memory_order_seq_cst);
    policy_.admitted(s, block);
    count_pinned();
    used_.store(used_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  if (ram_index::fill_version(set) != fill_version) return false;
  frame& f = index_.frame_at(s);
  if (!has_memory(f, from)) return false;
  copy_into_frame(f.memory.load(std::memory_order_relaxed), content);
  // Rule 2: fails when a writer has found the frame since. What was copied is then of nobody, and is never read.
  return f.word.compare_exchange_strong(version, version + 1, std::memory_order_seq_cst);
}

void ram_shard::drop_all(frame_memory& from) noexcept {
  for (slot s = 0; s < fresh_; ++s) {
    frame& f = index_.frame_at(s);
    const block_number block = f.block.load(std::memory_order_relaxed);
    if (ram_index::find(index_.set_of(place(block)), block) == s) {
      policy_.removed(s);
      unlink(s);
      free_.push_back(s);
    }
    // The pointer stays: a reader of another core may be about to follow it, to find that the block is gone.
    if (std::exchange(f.holds, false)) from.give_back(f.memory.load(std::memory_order_relaxed), f.loan);
  }
  count_pinned();
}

}  // namespace sluice::cache
