#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

namespace sluice::agreement_sim {

/// What blocks may hold: each has one writer, an initiator that writes growing numbers to it, one after the other, by
/// whichever path. A read finds what was acknowledged, or read by anybody, before it began, or something newer.
class block_model {
 public:
  static constexpr unsigned of_each = 4;  // blocks of each initiator

  struct question {
    unsigned block = 0;
    bool reads = false;
    std::uint64_t number = 0;  // that is written; of a read: the least that it may find
  };

  /// A block of that initiator's; false while the write before is not over.
  bool may_write(unsigned block) const { return !all_[block].busy; }
  question write(unsigned block) {
    all_[block].busy = true;
    return {block, false, ++all_[block].sent};
  }
  question read(unsigned block) const { return {block, true, all_[block].known}; }
  /// Answered or not: whoever gave it up may write again.
  void over(const question& q) {
    if (!q.reads) all_[q.block].busy = false;
  }
  void written(const question& q) { all_[q.block].known = std::max(all_[q.block].known, q.number); }
  /// Whether that may be there.
  bool found(const question& q, std::uint64_t number) {
    if (number < q.number || number > all_[q.block].sent) return false;
    all_[q.block].known = std::max(all_[q.block].known, number);
    return true;
  }

 private:
  struct block {
    std::uint64_t sent = 0, known = 0;
    bool busy = false;
  };
  std::array<block, 64> all_{};
};

}  // namespace sluice::agreement_sim
