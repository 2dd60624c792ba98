#include "tiers/cache/ram/frame_memory.hpp"

#include <sys/mman.h>

#include <algorithm>

namespace sluice::cache {
namespace {

constexpr std::uint64_t huge_page = 2 * mib;
constexpr unsigned tries = 4;  // to find a round that is over, or memory that has come back

}  // namespace

/// Addresses for all of it at once, and memory only where it is touched. By huge pages: hits lie anywhere.
frame_memory::frame_memory(std::uint64_t limit_bytes) {
  const std::uint64_t octets = limit_bytes + huge_page;
  void* range = ::mmap(nullptr, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return;
  reserved_ = {range, octets};
  const auto address = reinterpret_cast<std::uintptr_t>(range);
  base_ = static_cast<std::uint8_t*>(range) + (huge_page - address % huge_page) % huge_page;
  limit_ = static_cast<std::uint32_t>(limit_bytes / block_bytes);
  ::madvise(base_, limit_bytes, MADV_HUGEPAGE);
}

frame_memory::~frame_memory() {
  SLUICE_CHECK(!is_anything_lent());
  if (reserved_.iov_base) ::munmap(reserved_.iov_base, reserved_.iov_len);
}

bool frame_memory::is_anything_lent() const noexcept {
  return std::any_of(rounds_.begin(), rounds_.end(), [](const auto& each) { return each->loans.references > 1; });
}

std::uint8_t* frame_memory::take() noexcept {
  look_for_returned();
  std::uint32_t page = fresh_;
  if (!free_.empty()) {
    page = free_.back();
    free_.pop_back();
  } else if (fresh_ < limit_) {
    ++fresh_;
  } else {
    return nullptr;
  }
  return base_ + std::uint64_t{page} * block_bytes;
}

/// Memory that is lent is not used anew before it has come back: whoever it was lent to still sends it.
void frame_memory::give_back(std::uint8_t* taken, loan last) noexcept {
  const auto page = static_cast<std::uint32_t>(static_cast<std::uint64_t>(taken - base_) / block_bytes);
  if (is_lent(last)) {
    lent_.push_back({page, last});
  } else {
    free_.push_back(page);
  }
}

void frame_memory::look_for_returned() noexcept {
  for (unsigned i = 0; i < tries && !lent_.empty(); ++i) {
    look_at_ = (look_at_ + 1) % lent_.size();
    waiting& each = lent_[look_at_];
    if (is_lent(each.last)) continue;
    free_.push_back(each.page);
    each = lent_.back();
    lent_.pop_back();
  }
}

/// One that is over serves anew, under a higher number; null: all that there may be are under way, and nothing is lent.
frame_memory::round* frame_memory::next_round() noexcept {
  round* found = nullptr;
  for (unsigned i = 0; i < tries && !rounds_.empty() && !found; ++i) {
    try_next_ = (try_next_ + 1) % rounds_.size();
    if (rounds_[try_next_]->loans.references == 1) found = rounds_[try_next_].get();
  }
  if (!found) {
    if (rounds_.size() == max_rounds) return current_ = nullptr;
    found = rounds_.emplace_back(std::make_unique<round>()).get();
    found->loans.references = 1;
    found->number = static_cast<loan>(rounds_.size());
  } else {
    found->number += max_rounds;
    if (found->number == 0) found->number = max_rounds;  // came around: an old frame may be called lent for nothing
  }
  found->begun = 1;
  return current_ = found;
}

}  // namespace sluice::cache
