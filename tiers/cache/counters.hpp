#pragma once
#include <atomic>
#include <cstdint>

#include "actors/observe/latency_counts.hpp"

namespace sluice::cache {

/// A number that one thread counts up and any thread reads.
class tally {
 public:
  void add(std::uint64_t more) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

/// What one channel counted. Blocks are of 4 KiB, those that a request touches in part count whole.
struct counters {
  tally read_blocks;           // asked for
  tally ram_hit_blocks;        // of them, answered from RAM
  tally flash_hit_blocks;      // likewise, from flash
  tally streamed_blocks;       // of them, read past the tiers as parts of streams
  tally prefetched_blocks;     // read ahead of sequential readers
  tally prefetch_used_blocks;  // of them, taken by those
  tally written_blocks;
  tally kept_blocks;     // put into RAM by this channel, after a miss or a write
  tally unkept_batches;  // not sent to another core for keeping: too many were on their way
  observe::latency_counts flash_hit;
  observe::latency_counts hit;   // one read in 64
  observe::latency_counts miss;  // reads that went below

  void add(const counters& other) noexcept {
    read_blocks.add(other.read_blocks.value());
    ram_hit_blocks.add(other.ram_hit_blocks.value());
    flash_hit_blocks.add(other.flash_hit_blocks.value());
    streamed_blocks.add(other.streamed_blocks.value());
    prefetched_blocks.add(other.prefetched_blocks.value());
    prefetch_used_blocks.add(other.prefetch_used_blocks.value());
    written_blocks.add(other.written_blocks.value());
    kept_blocks.add(other.kept_blocks.value());
    unkept_batches.add(other.unkept_batches.value());
    flash_hit.add(other.flash_hit);
    hit.add(other.hit);
    miss.add(other.miss);
  }
};

}  // namespace sluice::cache
