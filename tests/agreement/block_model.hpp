#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace sluice::agreement_sim {

/// What blocks may hold: each has one writer, an initiator that writes growing numbers to it, one after the other, by
/// whichever path. A read finds what was acknowledged, or read by anybody, before it began, or something newer. What a
/// reset has ended was done by then, or never is: so reads that begin after it agree about that.
class block_model {
 public:
  static constexpr unsigned of_each = 4;  // blocks of each initiator

  struct question {
    unsigned block = 0;
    bool reads = false;
    std::uint64_t number = 0;  // that is written; of a read: the least that it may find
    std::uint64_t ended = 0;   // of a read: the write that a reset had ended
  };
  /// Numbers by block; 0: none.
  using numbers = std::array<std::uint64_t, 64>;

  /// A block of that initiator's; false while the write before is not over.
  bool may_write(unsigned block) const { return !all_[block].busy; }
  question write(unsigned block) {
    all_[block].busy = true;
    return {block, false, ++all_[block].sent};
  }
  question read(unsigned block) const { return {block, true, all_[block].known, all_[block].ended}; }
  /// A task of it is in a task set.
  void arrived(const question& q) {
    if (!q.reads) all_[q.block].arrived = q.number;
  }
  /// What a reset that begins now ends, if it is not over before.
  numbers covered() const {
    numbers those{};
    for (std::size_t i = 0; i < those.size(); ++i)
      if (all_[i].arrived > all_[i].known) those[i] = all_[i].arrived;
    return those;
  }
  void end(const numbers& those) {
    for (std::size_t i = 0; i < those.size(); ++i)
      if (those[i] > all_[i].ended) all_[i].ended = those[i], all_[i].was_done.reset();
  }
  /// Answered or not: whoever gave it up may write again.
  void over(const question& q) {
    if (!q.reads) all_[q.block].busy = false;
  }
  void written(const question& q) { all_[q.block].known = std::max(all_[q.block].known, q.number); }
  /// Whether that may be there.
  bool found(const question& q, std::uint64_t number) {
    block& b = all_[q.block];
    if (number < q.number || number > b.sent) return false;
    b.known = std::max(b.known, number);
    if (b.ended == 0 || q.ended != b.ended || number > b.ended) return true;
    const bool done = number == b.ended;
    if (!b.was_done) b.was_done = done;
    return *b.was_done == done;
  }

 private:
  struct block {
    std::uint64_t sent = 0, known = 0;
    std::uint64_t arrived = 0, ended = 0;
    std::optional<bool> was_done;  // what was ended, as reads have found since
    bool busy = false;
  };
  std::array<block, 64> all_{};
};

}  // namespace sluice::agreement_sim
