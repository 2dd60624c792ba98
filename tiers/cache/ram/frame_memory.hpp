#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "actors/memory/slab.hpp"
#include "tiers/cache/policy/geometry.hpp"

namespace sluice::cache {

/// The memory that one owner keeps blocks in, and what of it is lent. Not thread safe: the owner's.
///
/// A hit that lends its block is to touch the block's frame and nothing else that is cold. So loans are not counted
/// block by block but in *rounds* of a few: a round is over when all its loans have come back, a frame remembers the
/// round of its last one. While a round is not over, new loans of its frames belong to it, so that one round says all
/// about a frame: it may call a frame lent whose neighbours in the round are, never the other way round.
class frame_memory {
 public:
  using loan = std::uint32_t;  // of a frame: the round of its last loan; 0: there was none
  static constexpr std::uint32_t loans_in_a_round = 16;
  static constexpr std::uint32_t max_rounds = 4096;

  explicit frame_memory(std::uint64_t limit_bytes);
  ~frame_memory();
  frame_memory(const frame_memory&) = delete;
  frame_memory& operator=(const frame_memory&) = delete;

  /// Memory for a block, aligned to its size; null at the limit.
  std::uint8_t* take() noexcept;
  /// What was taken. It is taken again only when all that was lent of it has come back.
  void give_back(std::uint8_t* taken, loan last) noexcept;

  /// `length` octets at `data`, in a block that was taken, which stays as it is while is_lent(last). The slice is empty
  /// when too much is lent.
  memory::slice lend(std::uint8_t* data, std::uint32_t length, loan& last) noexcept {
    round* r = under_way(last);
    if (!r) {
      r = this_round();
      if (!r) return {};
      last = r->number;
    }
    return {&r->loans, data, length};
  }
  bool is_lent(loan last) const noexcept { return under_way(last) != nullptr; }
  bool is_anything_lent() const noexcept;

  /// Of memory that was ever taken.
  std::uint64_t bytes_touched() const noexcept { return std::uint64_t{fresh_} * block_bytes; }

 private:
  struct round {
    memory::block loans{};    // references: one of the owner's own, and one for each loan
    loan number = 0;          // place + 1 in rounds_, and how often that was used in the upper bits
    std::uint32_t begun = 0;  // loans that opened it
  };
  struct waiting {
    std::uint32_t page;
    loan last;
  };
  round* under_way(loan last) const noexcept {
    if (last == 0) return nullptr;
    round& r = *rounds_[(last - 1) % max_rounds];
    return r.number == last && r.loans.references > 1 ? &r : nullptr;
  }
  round* this_round() noexcept {
    if (current_ && current_->begun < loans_in_a_round) {
      ++current_->begun;
      return current_;
    }
    return next_round();
  }
  round* next_round() noexcept;
  void look_for_returned() noexcept;

  iovec reserved_{};
  std::uint8_t* base_ = nullptr;
  std::uint32_t limit_ = 0;  // blocks
  std::uint32_t fresh_ = 0;  // blocks from here on were never taken
  std::vector<std::uint32_t> free_;
  std::vector<waiting> lent_;  // given back, but lent
  std::size_t look_at_ = 0;
  std::vector<std::unique_ptr<round>> rounds_;
  round* current_ = nullptr;
  std::size_t try_next_ = 0;
};

}  // namespace sluice::cache
