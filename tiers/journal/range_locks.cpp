#include "tiers/journal/range_locks.hpp"

#include <algorithm>
#include <vector>

#include "actors/base/check.hpp"

// First come, first served where ranges overlap: whoever waits holds up those behind it that overlap it, even where
// they could go at once. So a large write is not passed by small ones for ever, and writes of the same blocks keep
// their order, which is what the log needs: its records say which version of a block is the newest.
namespace sluice::journal {
namespace {

bool overlap(const range_locks::holder& a, const range_locks::holder& b) {
  return a.first < b.last && b.first < a.last;
}

}  // namespace

bool range_locks::is_free(block_number first, block_number last) const {
  // What is held does not overlap: the range behind and the one before are all that could.
  const auto next = held_.lower_bound(first);
  if (next != held_.end() && next->first < last) return false;
  return next == held_.begin() || std::prev(next)->second <= first;
}

bool range_locks::lock(holder& who) {
  const bool behind = std::any_of(waiting_.begin(), waiting_.end(), [&](holder* each) { return overlap(*each, who); });
  if (behind || !is_free(who.first, who.last)) {
    waiting_.push_back(&who);
    return false;
  }
  held_.emplace(who.first, who.last);
  return true;
}

void range_locks::unlock(holder& who) {
  SLUICE_CHECK(held_.erase(who.first) == 1);
  std::vector<holder*> next;
  std::vector<const holder*> passed;  // those that wait on keep their turn before whoever came later
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    holder& each = **it;
    const bool behind = std::any_of(passed.begin(), passed.end(), [&](const holder* p) { return overlap(*p, each); });
    if (behind || !is_free(each.first, each.last)) {
      passed.push_back(&each);
      ++it;
      continue;
    }
    held_.emplace(each.first, each.last);
    next.push_back(&each);
    it = waiting_.erase(it);
  }
  for (holder* each : next) each->granted();  // last: it may lock and unlock
}

}  // namespace sluice::journal
