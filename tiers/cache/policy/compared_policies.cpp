#include "tiers/cache/policy/compared_policies.hpp"

#include <algorithm>

// The names of the paper: once_ is T1 and often_ is T2, their ghosts are B1 and B2, once_share_ is p.
namespace sluice::cache {

arc::arc(std::uint32_t capacity)
    : capacity_(capacity),
      keys_(capacity),
      seen_often_(capacity),
      links_(capacity),
      once_ghosts_(capacity),
      often_ghosts_(2 * capacity) {}

void arc::hit(slot s) noexcept {
  (seen_often_[s] ? often_ : once_).erase(s);
  seen_often_[s] = true;
  often_.push(s);
}

/// A hit among the ghosts moves the shares; whether there was one.
bool arc::adapt(block_number incoming) noexcept {
  const std::uint32_t once = once_ghosts_.size(), often = often_ghosts_.size();
  if (once_ghosts_.erase(incoming)) {
    once_share_ = std::min(capacity_, once_share_ + std::max(often / once, 1U));
  } else if (often_ghosts_.erase(incoming)) {
    const std::uint32_t less = std::max(once / often, 1U);
    once_share_ -= std::min(once_share_, less);
  } else {
    return false;
  }
  returning_ = incoming;
  return true;
}

void arc::admitted(slot s, block_number key) noexcept {
  keys_[s] = key;
  const bool returns = returning_ == key || adapt(key);
  returning_ = UINT64_MAX;
  seen_often_[s] = returns;
  (returns ? often_ : once_).push(s);
}

void arc::removed(slot s) noexcept {
  (seen_often_[s] ? often_ : once_).erase(s);
}

slot arc::give_way(slot_list& from, ghost_queue* remember) noexcept {
  const slot s = from.pop();
  if (remember) remember->insert(keys_[s]);
  return s;
}

/// Who comes may be a ghost: that moves the shares before somebody gives way, and admitted() must not do so again.
slot arc::victim(block_number incoming) noexcept {
  const bool was_often = often_ghosts_.contains(incoming);
  if (!adapt(incoming)) {
    if (once_.size() + once_ghosts_.size() >= capacity_) {
      if (once_.size() >= capacity_) return give_way(once_, nullptr);
      once_ghosts_.forget_oldest();
    } else if (once_.size() + often_.size() + once_ghosts_.size() + often_ghosts_.size() >= 2 * capacity_) {
      often_ghosts_.forget_oldest();
    }
  }
  const bool from_once =
      !once_.empty() && (once_.size() > once_share_ || (was_often && once_.size() == once_share_) || often_.empty());
  return from_once ? give_way(once_, &once_ghosts_) : give_way(often_, &often_ghosts_);
}

}  // namespace sluice::cache
