#pragma once
#include "tiers/cache/policy/ghost_queue.hpp"
#include "tiers/cache/policy/policy.hpp"

/// Policies that no tier uses: what the simulation holds S3-FIFO against.
namespace sluice::cache {

/// The block that was not asked for the longest gives way.
class lru final : public policy {
 public:
  explicit lru(std::uint32_t capacity) : links_(capacity) {}
  const char* name() const noexcept override { return "lru"; }
  void hit(slot s) noexcept override {
    all_.erase(s);
    all_.push(s);
  }
  void admitted(slot s, block_number) noexcept override { all_.push(s); }
  void removed(slot s) noexcept override { all_.erase(s); }
  slot victim(block_number) noexcept override { return all_.pop(); }

 private:
  slot_links links_;
  slot_list all_{links_};
};

/// ARC (Megiddo, Modha: "ARC: a self-tuning, low overhead replacement cache", FAST 2003): blocks seen once and blocks
/// seen more than once in lists of their own, whose shares follow the hits among the ghosts of either.
class arc final : public policy {
 public:
  explicit arc(std::uint32_t capacity);
  const char* name() const noexcept override { return "arc"; }
  void hit(slot s) noexcept override;
  void admitted(slot s, block_number key) noexcept override;
  void removed(slot s) noexcept override;
  slot victim(block_number incoming) noexcept override;

 private:
  bool adapt(block_number incoming) noexcept;
  slot give_way(slot_list& from, ghost_queue* remember) noexcept;

  const std::uint32_t capacity_;
  std::uint32_t once_share_ = 0;  // the paper's p
  std::vector<block_number> keys_;
  std::vector<bool> seen_often_;
  slot_links links_;
  slot_list once_{links_};               // T1
  slot_list often_{links_};              // T2
  ghost_queue once_ghosts_;              // B1
  ghost_queue often_ghosts_;             // B2
  block_number returning_ = UINT64_MAX;  // the incoming block, when it was a ghost
};

}  // namespace sluice::cache
