#include "tiers/cache/policy/s3_fifo.hpp"

#include <algorithm>
#include <utility>

namespace sluice::cache {

s3_fifo::s3_fifo(std::uint32_t capacity)
    : capacity_(capacity),
      small_share_(std::max(1U, capacity / 10)),
      hits_(new std::atomic<std::uint8_t>[capacity]),
      where_(capacity, queue::none),
      keys_(capacity),
      links_(capacity),
      ghosts_(capacity - std::min(capacity, small_share_)) {
  for (slot s = 0; s < capacity; ++s) hits_[s].store(0, std::memory_order_relaxed);
}

void s3_fifo::admitted(slot s, block_number key) noexcept {
  SLUICE_CHECK(s < capacity_ && where_[s] == queue::none);
  hits_[s].store(0, std::memory_order_relaxed);
  keys_[s] = key;
  const bool known = ghosts_.erase(key);
  where_[s] = shall_be_pinned(key) ? queue::pinned : known ? queue::main : queue::small;
  list_of(where_[s]).push(s);
}

void s3_fifo::removed(slot s) noexcept {
  leave(s);
}

slot_list& s3_fifo::list_of(queue which) noexcept {
  return which == queue::small ? small_ : which == queue::main ? main_ : pinned_;
}

slot s3_fifo::leave(slot s) noexcept {
  SLUICE_CHECK(where_[s] != queue::none);
  list_of(where_[s]).erase(s);
  where_[s] = queue::none;
  return s;
}

bool s3_fifo::shall_be_pinned(block_number key) const noexcept {
  return pins_ && has_room_for_pins() && pins_->contains(key);
}

/// Who is pinned no more goes to the main queue: it was wanted until now.
void s3_fifo::pin(std::shared_ptr<const pin_set> pins) {
  if (!pins && !pins_) return;
  pins_ = std::move(pins);
  for (slot s = 0; s < capacity_; ++s) {
    if (where_[s] == queue::none) continue;
    const bool was = where_[s] == queue::pinned;
    const queue now = was && !(pins_ && pins_->contains(keys_[s])) ? queue::main
                      : !was && shall_be_pinned(keys_[s])          ? queue::pinned
                                                                   : where_[s];
    if (now == where_[s]) continue;
    leave(s);
    where_[s] = now;
    list_of(now).push(s);
  }
}

/// From the small queue as long as it has more than its share. Who was asked for often enough there moves to the main
/// queue, who was asked for in the main queue goes round once more for each time; `chances` bounds what that costs.
slot s3_fifo::victim(block_number) noexcept {
  if (small_.empty() && main_.empty()) return leave(pinned_.oldest());
  for (std::uint32_t chances = 0;; ++chances) {
    if (small_.size() >= small_share_ || main_.empty()) {
      const slot oldest = small_.oldest();
      if (hits_[oldest].load(std::memory_order_relaxed) < hits_to_stay || chances >= patience) {
        ghosts_.insert(keys_[oldest]);
        victim_was_warm_ = hits_[oldest].load(std::memory_order_relaxed) > 0;
        return leave(oldest);
      }
      small_.erase(oldest);
      hits_[oldest].store(0, std::memory_order_relaxed);
      where_[oldest] = queue::main;
      main_.push(oldest);
    } else {
      const slot oldest = main_.oldest();
      const std::uint8_t seen = hits_[oldest].load(std::memory_order_relaxed);
      if (seen == 0 || chances >= patience) {
        victim_was_warm_ = true;
        return leave(oldest);
      }
      hits_[oldest].store(seen - 1, std::memory_order_relaxed);
      main_.erase(oldest);
      main_.push(oldest);
    }
  }
}

std::uint64_t s3_fifo::memory_bytes() const noexcept {
  return std::uint64_t{capacity_} * (1 + sizeof(queue) + sizeof(block_number) + 2 * sizeof(slot)) +
         ghosts_.memory_bytes();
}

}  // namespace sluice::cache
