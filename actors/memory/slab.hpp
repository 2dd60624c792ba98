#pragma once
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "actors/base/bytes.hpp"
#include "actors/base/check.hpp"
#include "actors/memory/account.hpp"

namespace sluice::memory {

class pool;

/// One block of a pool: a header apart from the payload, so that payloads stay page aligned.
struct block {
  enum class state : std::uint8_t { none, free, taken, split };
  std::uint8_t* data;
  std::uint32_t capacity;
  std::uint32_t references;
  pool* origin;
  account* payer;
  block* next_free;
  std::uint8_t size_class;
  state is;
};

/// A counted reference to a range of a block. Copy = one more reference (not atomic: blocks never leave their
/// core). The memory goes back to its pool with the last slice. A slice may also *borrow* memory that somebody else
/// keeps alive for as long as the slice's task runs (a RAM store's own pages); then it counts nothing.
class slice {
 public:
  slice() = default;
  slice(block* owner, std::uint8_t* data, std::uint32_t size) : owner_(owner), data_(data), size_(size) {
    if (owner_) ++owner_->references;
  }
  slice(const slice& other) : slice(other.owner_, other.data_, other.size_) {}
  slice(slice&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  slice& operator=(const slice& other) noexcept { return *this = slice(other); }
  slice& operator=(slice&& other) noexcept {
    if (this == &other) return *this;
    release();
    owner_ = std::exchange(other.owner_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  ~slice() { release(); }

  static slice borrow(std::uint8_t* data, std::uint32_t size) { return {nullptr, data, size}; }

  std::uint8_t* data() const { return data_; }
  std::uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// Whether others hold slices of the same block: only then is its memory not the holder's to use anew.
  bool shared() const { return owner_ && owner_->references > 1; }
  bool borrowed() const { return owner_ == nullptr && data_ != nullptr; }
  /// Who pays for the block; null for borrowed memory and for none.
  const account* payer() const { return owner_ ? owner_->payer : nullptr; }
  bytes span() const { return {data_, size_}; }
  iovec iov() const { return {data_, size_}; }
  slice sub(std::uint32_t offset, std::uint32_t size) const {
    SLUICE_CHECK(std::uint64_t{offset} + size <= size_);
    return {owner_, data_ + offset, size};
  }

 private:
  void release() noexcept;
  block* owner_ = nullptr;
  std::uint8_t* data_ = nullptr;
  std::uint32_t size_ = 0;
};

/// Buffer slabs of one core. Blocks are page aligned, in classes of 4, 16, 64, 256 KiB and 1 MiB. Regions are made
/// usable on demand up to `limit_bytes` and never given back while the pool lives; each begins as blocks of the largest
/// class, a block without a smaller one is split into four, and four that are free become one again when a larger one
/// is wanted and there is no other way. All regions lie in one range of addresses, reserved at the start, so that an
/// address tells its region.
///
/// Who takes memory pays for it from an account, and ledger() divides the limit among the accounts. Not thread safe:
/// take, copy and drop slices on the pool's core only.
class pool {
 public:
  static constexpr std::uint32_t largest = 1024 * 1024;
  static constexpr std::uint32_t region_size = 4 * 1024 * 1024;  // a block lies in one region
  static constexpr unsigned no_region = ~0u;

  explicit pool(std::uint64_t limit_bytes);
  ~pool();
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;

  /// A block of at least `size` octets (at most `largest`), uninitialised; empty when `payer` has no more, or the pool:
  /// the caller turns that into a wait, BUSY or TASK SET FULL, or into reading no further from its connection.
  slice take(std::uint32_t size, account& payer, ledger::claim as = ledger::claim::ordinary);
  /// A block for which `payer` has been charged (ledger::admit) what rounded(size) says; empty, and the charge stays,
  /// when there is none: free memory may lie in pieces.
  slice take_paid(std::uint32_t size, account& payer);
  /// What a block of at least `size` octets costs.
  static constexpr std::uint32_t rounded(std::uint32_t size) { return class_size[class_of(size)]; }
  /// For the gateway's own use: caches, journals.
  slice take(std::uint32_t size) { return take(size, ledger_.own()); }

  ledger& accounts() { return ledger_; }
  const ledger& accounts() const { return ledger_; }
  std::uint64_t bytes_in_use() const { return in_use_; }
  std::uint64_t bytes_mapped() const { return mapped_; }
  std::uint64_t limit_bytes() const { return limit_; }
  /// How many regions there can ever be.
  unsigned region_limit() const { return static_cast<unsigned>(limit_ / region_size); }
  /// The number of the region that holds all of `part`, below region_limit(), for memory that is registered with a ring
  /// or a device; no_region when it is none of the pool's.
  unsigned region_of(const iovec& part) const {
    const auto offset = reinterpret_cast<std::uintptr_t>(part.iov_base) - reinterpret_cast<std::uintptr_t>(base_);
    const std::uint64_t region = offset / region_size;  // below the pool: wraps to far beyond it
    const bool inside = offset < mapped_ && part.iov_len <= region_size - offset % region_size;
    return inside ? static_cast<unsigned>(region) : no_region;
  }
  iovec region(unsigned number) const { return {base_ + std::uint64_t{number} * region_size, region_size}; }

 private:
  friend class slice;
  static constexpr int class_count = 5, top_class = class_count - 1;
  static constexpr std::uint32_t class_size[class_count] = {4096, 16384, 65536, 262144, 1048576};
  static constexpr std::uint32_t split_into = 4;
  /// Headers of a region: those of the largest class first, then those of the next. Block i of a class has its four
  /// parts at 4i of the class below.
  static constexpr std::uint32_t first_header[class_count] = {340, 84, 20, 4, 0};
  static constexpr std::uint32_t headers_of_region = 340 + 1024;

  static constexpr int class_of(std::uint32_t size) {
    int found = 0;
    while (class_size[found] < size) ++found;
    return found;
  }
  bool provide(int size_class);
  bool grow();
  bool merge();
  void make_free(block* header, std::uint8_t* data, int size_class);
  block* parts_of(const block& whole);
  void put_back(block* returned) noexcept;

  std::uint64_t limit_;  // a multiple of region_size
  ledger ledger_;
  iovec reserved_{};
  std::uint8_t* base_ = nullptr;  // reserved_, aligned to region_size
  std::uint64_t mapped_ = 0;
  std::uint64_t in_use_ = 0;
  std::uint64_t returned_ = 0;        // blocks, ever
  std::uint64_t merge_again_at_ = 0;  // of returned_: merging looks at all headers
  block* free_[class_count] = {};
  std::vector<std::unique_ptr<block[]>> headers_;  // by region
};

[[gnu::always_inline]] inline void slice::release() noexcept {
  if (owner_ && --owner_->references == 0) owner_->origin->put_back(owner_);
  owner_ = nullptr;
}

inline void pool::put_back(block* returned) noexcept {
  in_use_ -= returned->capacity;
  ++returned_;
  returned->is = block::state::free;
  returned->next_free = free_[returned->size_class];
  free_[returned->size_class] = returned;
  ledger_.give(*returned->payer, returned->capacity);
}

}  // namespace sluice::memory
