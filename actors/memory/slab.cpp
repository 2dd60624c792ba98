#include "actors/memory/slab.hpp"

#include <sys/mman.h>

#include <algorithm>

namespace sluice::memory {

pool::pool(std::uint64_t limit_bytes) : limit_(limit_bytes / region_size * region_size), ledger_(limit_) {
  const std::uint64_t octets = limit_ + region_size;
  void* range = ::mmap(nullptr, octets, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) {
    limit_ = 0;
    return;
  }
  reserved_ = {range, octets};
  const auto address = reinterpret_cast<std::uintptr_t>(range);
  base_ = static_cast<std::uint8_t*>(range) + (region_size - address % region_size) % region_size;
}

pool::~pool() {
  SLUICE_CHECK(in_use_ == 0);
  if (reserved_.iov_base) ::munmap(reserved_.iov_base, reserved_.iov_len);
}

void pool::make_free(block* header, std::uint8_t* data, int size_class) {
  *header = {data,
             class_size[size_class],
             0,
             this,
             nullptr,
             free_[size_class],
             static_cast<std::uint8_t>(size_class),
             block::state::free};
  free_[size_class] = header;
}

/// The headers of the four parts of a block of any but the smallest class.
block* pool::parts_of(const block& whole) {
  const auto region = static_cast<std::size_t>(whole.data - base_) / region_size;
  block* headers = headers_[region].get();
  const auto number = static_cast<std::uint32_t>(&whole - headers) - first_header[whole.size_class];
  return headers + first_header[whole.size_class - 1] + split_into * number;
}

/// Sees that a block of the class is free.
bool pool::provide(int size_class) {
  if (free_[size_class]) return true;
  if (size_class == top_class) return grow() || (merge() && free_[size_class]);
  if (!provide(size_class + 1)) return free_[size_class] || (merge() && free_[size_class]);
  block* whole = free_[size_class + 1];
  free_[size_class + 1] = whole->next_free;
  whole->is = block::state::split;
  block* parts = parts_of(*whole);
  for (std::uint32_t i = split_into; i-- > 0;)
    make_free(&parts[i], whole->data + std::uint64_t{i} * class_size[size_class], size_class);
  return true;
}

bool pool::grow() {
  if (mapped_ + region_size > limit_) return false;
  std::uint8_t* base = base_ + mapped_;
  if (::mprotect(base, region_size, PROT_READ | PROT_WRITE) != 0) return false;
  ::madvise(base, region_size, MADV_HUGEPAGE);
  mapped_ += region_size;
  // Not initialised: a header is written when its block comes to be, most never do.
  headers_.push_back(std::make_unique_for_overwrite<block[]>(headers_of_region));
  for (std::uint32_t i = split_into; i-- > 0;)
    make_free(&headers_.back()[i], base + std::uint64_t{i} * largest, top_class);
  return true;
}

/// Makes blocks whose parts are all free whole again; true when there were any. It looks at every header that there is,
/// so not again before so many blocks have come back that it costs each of them no more than a few looks.
bool pool::merge() {
  if (returned_ < merge_again_at_) return false;
  merge_again_at_ = returned_ + headers_.size() * 64;
  bool merged = false;
  std::fill(std::begin(free_), std::end(free_), nullptr);
  const auto visit = [&](auto& self, block& b) -> void {
    if (b.is == block::state::split) {
      block* parts = parts_of(b);
      bool all_free = true;
      for (std::uint32_t i = 0; i < split_into; ++i) {
        if (parts[i].is == block::state::split) self(self, parts[i]);
        all_free = all_free && parts[i].is == block::state::free;
      }
      if (all_free) {
        b.is = block::state::free;
        merged = true;
        return;
      }
      for (std::uint32_t i = 0; i < split_into; ++i)
        if (parts[i].is == block::state::free) make_free(&parts[i], parts[i].data, parts[i].size_class);
    }
  };
  for (const auto& headers : headers_)
    for (std::uint32_t i = 0; i < split_into; ++i) {
      visit(visit, headers[i]);
      if (headers[i].is == block::state::free) make_free(&headers[i], headers[i].data, top_class);
    }
  return merged;
}

slice pool::take(std::uint32_t size, account& payer, ledger::claim as) {
  SLUICE_CHECK(size <= largest);
  const std::uint32_t octets = rounded(size);
  if (!ledger_.admit(payer, octets, as)) return {};
  slice taken = take_paid(size, payer);
  if (taken.data() == nullptr) ledger_.take_back(payer, octets);
  return taken;
}

slice pool::take_paid(std::uint32_t size, account& payer) {
  const int size_class = class_of(size);
  if (!free_[size_class] && !provide(size_class)) return {};
  block* taken = free_[size_class];
  free_[size_class] = taken->next_free;
  taken->is = block::state::taken;
  taken->payer = &payer;
  in_use_ += taken->capacity;
  return {taken, taken->data, size};
}

}  // namespace sluice::memory
