#include "actors/memory/slab.hpp"

#include <sys/mman.h>

namespace sluice::memory {

pool::pool(std::uint64_t limit_bytes) : limit_(limit_bytes / region_size * region_size) {
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

bool pool::grow(int size_class) {
  if (mapped_ + region_size > limit_) return false;
  std::uint8_t* base = base_ + mapped_;
  if (::mprotect(base, region_size, PROT_READ | PROT_WRITE) != 0) return false;
  ::madvise(base, region_size, MADV_HUGEPAGE);
  mapped_ += region_size;
  const std::uint32_t each = class_size[size_class];
  const std::uint32_t count = region_size / each;
  headers_.push_back(std::make_unique<block[]>(count));
  block* headers = headers_.back().get();
  for (std::uint32_t i = count; i-- > 0;) {
    headers[i] = {base + std::uint64_t{i} * each,
                  each,
                  0,
                  this,
                  free_[size_class],
                  static_cast<std::uint8_t>(size_class)};
    free_[size_class] = &headers[i];
  }
  return true;
}

slice pool::take(std::uint32_t size) {
  SLUICE_CHECK(size <= largest);
  int size_class = 0;
  while (class_size[size_class] < size) ++size_class;
  if (!free_[size_class] && !grow(size_class)) return {};
  block* taken = free_[size_class];
  free_[size_class] = taken->next_free;
  in_use_ += taken->capacity;
  return {taken, taken->data, size};
}

}  // namespace sluice::memory
