#include "tiers/cache/s3_fifo.hpp"

#include <algorithm>

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
  where_[s] = known ? queue::main : queue::small;
  (known ? main_ : small_).push(s);
}

void s3_fifo::removed(slot s) noexcept {
  leave(s, where_[s] == queue::main ? main_ : small_);
}

slot s3_fifo::leave(slot s, slot_list& from) noexcept {
  SLUICE_CHECK(where_[s] != queue::none);
  from.erase(s);
  where_[s] = queue::none;
  return s;
}

slot s3_fifo::victim(block_number) noexcept {
  for (std::uint32_t chances = 0;; ++chances) {
    if (small_.size() >= small_share_ || main_.empty()) {
      const slot oldest = small_.oldest();
      if (hits_[oldest].load(std::memory_order_relaxed) < hits_to_stay || chances >= patience) {
        ghosts_.insert(keys_[oldest]);
        victim_was_warm_ = hits_[oldest].load(std::memory_order_relaxed) > 0;
        return leave(oldest, small_);
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
        return leave(oldest, main_);
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
