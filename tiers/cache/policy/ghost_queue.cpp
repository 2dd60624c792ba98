#include "tiers/cache/policy/ghost_queue.hpp"

#include <bit>

#include "tiers/cache/policy/hash.hpp"

namespace sluice::cache {

ghost_queue::ghost_queue(std::uint32_t capacity) : keys_(capacity), links_(capacity) {
  index_.assign(std::bit_ceil(std::uint64_t{capacity} * 3 / 2 + 2), no_slot);
  mask_ = static_cast<std::uint32_t>(index_.size() - 1);
  free_.reserve(capacity);
  for (slot s = capacity; s != 0; --s) free_.push_back(s - 1);
}

std::uint32_t ghost_queue::slot_of(block_number key) const noexcept {
  return static_cast<std::uint32_t>(mix(key)) & mask_;
}

slot ghost_queue::find(block_number key) const noexcept {
  for (std::uint32_t at = slot_of(key); index_[at] != no_slot; at = (at + 1) & mask_)
    if (keys_[index_[at]] == key) return index_[at];
  return no_slot;
}

void ghost_queue::insert(block_number key) noexcept {
  if (keys_.empty()) return;
  erase(key);
  if (free_.empty()) forget_oldest();
  const slot entry = free_.back();
  free_.pop_back();
  keys_[entry] = key;
  entries_.push(entry);
  std::uint32_t at = slot_of(key);
  while (index_[at] != no_slot) at = (at + 1) & mask_;
  index_[at] = entry;
}

bool ghost_queue::erase(block_number key) noexcept {
  const slot entry = find(key);
  if (entry == no_slot) return false;
  unlink(entry);
  return true;
}

void ghost_queue::forget_oldest() noexcept {
  if (!entries_.empty()) unlink(entries_.oldest());
}

void ghost_queue::unlink(slot entry) noexcept {
  std::uint32_t hole = slot_of(keys_[entry]);
  while (index_[hole] != entry) hole = (hole + 1) & mask_;
  // What a probe would no longer find behind the hole moves into it.
  for (std::uint32_t at = (hole + 1) & mask_; index_[at] != no_slot; at = (at + 1) & mask_) {
    const std::uint32_t wanted = slot_of(keys_[index_[at]]);
    if (((at - wanted) & mask_) < ((at - hole) & mask_)) continue;
    index_[hole] = index_[at];
    hole = at;
  }
  index_[hole] = no_slot;
  entries_.erase(entry);
  free_.push_back(entry);
}

std::uint64_t ghost_queue::memory_bytes() const noexcept {
  return keys_.size() * (sizeof(block_number) + 3 * sizeof(slot)) + index_.size() * sizeof(slot);
}

}  // namespace sluice::cache
