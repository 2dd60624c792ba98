#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "actors/memory/prefetch.hpp"
#include "tiers/cache/policy/ghost_queue.hpp"
#include "tiers/cache/policy/pin_set.hpp"
#include "tiers/cache/policy/policy.hpp"

namespace sluice::cache {

/// S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023). New blocks
/// pass through a small queue, a tenth of the tier; who was not asked for again leaves from there soon, so that a scan
/// harms nobody, and its number stays in a ghost queue: should it come back, it goes to the main queue at once.
///
/// A hit counts up to three in one octet and moves nothing: hit() may be called from any thread. That is why it is the
/// policy of tiers that every core reads.
class s3_fifo final : public policy {
 public:
  explicit s3_fifo(std::uint32_t capacity);

  const char* name() const noexcept override { return "s3-fifo"; }
  void hit(slot s) noexcept override {
    // Two cores that count at the same time may lose one: the policy does not mind, and nobody waits.
    const std::uint8_t seen = hits_[s].load(std::memory_order_relaxed);
    if (seen < max_hits) hits_[s].store(seen + 1, std::memory_order_relaxed);
  }
  /// Into the processor's caches what hit() touches.
  void fetch(slot s) const noexcept { memory::prefetch_to_write(&hits_[s]); }
  void admitted(slot s, block_number key) noexcept override;
  void removed(slot s) noexcept override;
  slot victim(block_number incoming) noexcept override;

  /// Blocks of these ranges give way to nobody, but where they would take more than three quarters of the tier, which
  /// may happen to a shard whose share of them is large. Those that are there already are told apart now.
  void pin(std::shared_ptr<const pin_set> pins);
  bool has_room_for_pins() const noexcept { return pinned_.size() < capacity_ - capacity_ / 4; }
  bool is_pinned(slot s) const noexcept { return where_[s] == queue::pinned; }
  std::uint32_t pinned() const noexcept { return pinned_.size(); }

  /// Whether a block was seen more than once lately: in the main queue, or asked for again while in the small one.
  bool is_warm(slot s) const noexcept {
    return where_[s] >= queue::main || hits_[s].load(std::memory_order_relaxed) > 0;
  }
  /// Of the slot that victim() gave last: whether its block was seen more than once lately.
  bool victim_was_warm() const noexcept { return victim_was_warm_; }
  std::uint64_t memory_bytes() const noexcept;

 private:
  static constexpr std::uint8_t max_hits = 3;
  static constexpr std::uint8_t hits_to_stay = 2;  // from the small queue to the main one
  static constexpr std::uint32_t patience = 1024;  // second chances for one victim: bounds what one miss costs
  enum class queue : std::uint8_t { none, small, main, pinned };

  slot leave(slot s) noexcept;
  slot_list& list_of(queue which) noexcept;
  bool shall_be_pinned(block_number key) const noexcept;

  const std::uint32_t capacity_;
  const std::uint32_t small_share_;
  std::unique_ptr<std::atomic<std::uint8_t>[]> hits_;
  std::vector<queue> where_;
  std::vector<block_number> keys_;
  slot_links links_;
  slot_list small_{links_};
  slot_list main_{links_};
  slot_list pinned_{links_};
  std::shared_ptr<const pin_set> pins_;  // null: none
  ghost_queue ghosts_;
  bool victim_was_warm_ = false;
};

}  // namespace sluice::cache
