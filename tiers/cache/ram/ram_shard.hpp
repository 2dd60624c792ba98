#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "actors/memory/prefetch.hpp"
#include "tiers/cache/policy/frequency_sketch.hpp"
#include "tiers/cache/policy/s3_fifo.hpp"
#include "tiers/cache/ram/ram_index.hpp"

namespace sluice::cache {

/// Where blocks go that leave RAM and were seen more than once: to flash.
class eviction_sink {
 public:
  /// `content`, of block_bytes octets, is what the block holds below as long as `fill version` of `set` holds.
  virtual void evicted(block_number block, std::uint64_t fill_version, const index_set& set,
                       const std::uint8_t* content) noexcept = 0;

 protected:
  ~eviction_sink() = default;
};

/// The hot blocks of the extents of one shard. The index and s3_fifo::hit() are everybody's; the rest is the owner's.
class ram_shard {
 public:
  /// `counts_misses`: so that a block that is missed again and again counts as seen more than once, too.
  explicit ram_shard(std::uint32_t frames, bool counts_misses = false);

  // -- any thread -----------------------------------------------------------------------------------------------
  const ram_index& index() const { return index_; }
  void hit(slot s) noexcept { policy_.hit(s); }
  /// Into the processor's caches what says where a block is; what a hit of it touches.
  void fetch_set(const place& p) const noexcept { memory::prefetch(&index_.set_of(p)); }
  void fetch_frame(const place& p, block_number block) const noexcept {
    const slot s = ram_index::find(index_.set_of(p), block);
    if (s == no_slot) return;
    memory::prefetch_to_write(&index_.frame_at(s));
    policy_.fetch(s);
  }
  /// Blocks that are pinned.
  std::uint32_t pinned() const noexcept { return pinned_.load(std::memory_order_relaxed); }
  std::uint32_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  std::uint64_t overhead_bytes() const noexcept;

  // -- the owner -------------------------------------------------------------------------------------------------
  enum class keep : std::uint8_t { always, if_there };
  /// Caches what the block holds below: `content`, block_bytes octets, read or written there under `fill version`.
  /// Whether it did: not so when the fill version is void. Memory comes from `from`, the owner's.
  bool put(block_number block, std::uint64_t fill_version, const std::uint8_t* content, keep how, frame_memory& from,
           eviction_sink* sink = nullptr) noexcept;
  /// A slice of a valid frame's memory, which keeps that memory as it is for as long as it lives; empty when too much
  /// is lent.
  memory::slice lend(slot s, std::uint32_t offset, std::uint32_t length, frame_memory& from) noexcept {
    frame& f = index_.frame_at(s);
    SLUICE_CHECK(std::uint64_t{offset} + length <= block_bytes);
    return from.lend(f.memory.load(std::memory_order_relaxed) + offset, length, f.loan);
  }
  bool has_room_for_pins() const noexcept { return policy_.has_room_for_pins(); }
  /// As the policy's.
  void pin(std::shared_ptr<const pin_set> pins) {
    policy_.pin(std::move(pins));
    count_pinned();
  }
  /// Forgets everything and gives the memory back to where it came from.
  void drop_all(frame_memory& from) noexcept;

 private:
  bool has_memory(frame& f, frame_memory& from) noexcept;
  slot take_frame(block_number incoming, eviction_sink* sink) noexcept;
  void pass_on(slot s, bool warm, eviction_sink& sink) const noexcept;
  std::atomic<std::uint64_t>& free_way(index_set& set, eviction_sink* sink) noexcept;
  void unlink(slot s) noexcept;
  void count_pinned() noexcept { pinned_.store(policy_.pinned(), std::memory_order_relaxed); }

  const std::uint32_t capacity_;
  ram_index index_;
  s3_fifo policy_;
  std::unique_ptr<frequency_sketch> misses_;
  std::vector<slot> free_;
  std::uint32_t fresh_ = 0;  // slots from here on were never used
  unsigned next_way_ = 0;
  std::atomic<std::uint32_t> used_ = 0;
  std::atomic<std::uint32_t> pinned_ = 0;
};

}  // namespace sluice::cache
