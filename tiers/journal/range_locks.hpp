#pragma once
#include <list>
#include <map>

#include "tiers/journal/journal_format.hpp"

namespace sluice::journal {

/// Who changes which blocks: one at a time, in the order in which they asked. One thread.
class range_locks {
 public:
  class holder {
   public:
    block_number first = 0;  // [first, last)
    block_number last = 0;
    /// It is this one's turn. From within unlock() of another.
    virtual void granted() noexcept = 0;

   protected:
    ~holder() = default;
  };

  /// True: it has the range. False: granted() comes.
  bool lock(holder& who);
  void unlock(holder& who);
  bool empty() const { return held_.empty() && waiting_.empty(); }

 private:
  bool is_free(block_number first, block_number last) const;

  std::map<block_number, block_number> held_;  // disjoint: first -> last
  std::list<holder*> waiting_;
};

}  // namespace sluice::journal
