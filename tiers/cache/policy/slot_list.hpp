#pragma once
#include <cstdint>
#include <vector>

#include "actors/base/check.hpp"

namespace sluice::cache {

/// A place in a tier, 0 … capacity-1. What lies there is the tier's business.
using slot = std::uint32_t;
inline constexpr slot no_slot = UINT32_MAX;

/// The links of lists over slots; a slot is in at most one of the lists that share them.
struct slot_links {
  explicit slot_links(std::uint32_t capacity) : newer(capacity, no_slot), older(capacity, no_slot) {}
  std::vector<slot> newer, older;
};

/// A list of slots from newest to oldest. Every operation costs O(1); nothing allocates.
class slot_list {
 public:
  explicit slot_list(slot_links& links) : links_(links) {}

  std::uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  slot oldest() const { return oldest_; }
  slot newest() const { return newest_; }

  void push(slot s) {
    links_.newer[s] = no_slot;
    links_.older[s] = newest_;
    (newest_ != no_slot ? links_.newer[newest_] : oldest_) = s;
    newest_ = s;
    ++size_;
  }
  void erase(slot s) {
    SLUICE_CHECK(size_ != 0);
    const slot newer = links_.newer[s], older = links_.older[s];
    (newer != no_slot ? links_.older[newer] : newest_) = older;
    (older != no_slot ? links_.newer[older] : oldest_) = newer;
    --size_;
  }
  slot pop() {
    const slot s = oldest_;
    erase(s);
    return s;
  }

 private:
  slot_links& links_;
  slot newest_ = no_slot;
  slot oldest_ = no_slot;
  std::uint32_t size_ = 0;
};

}  // namespace sluice::cache
