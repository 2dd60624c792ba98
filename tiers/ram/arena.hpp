#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "actors/base/result.hpp"

namespace sluice::ram {

/// The memory of a RAM store: address space reserved once, so that pointers into it stay valid through every resize (at
/// least twice the first size, or 1 GiB; more while there are few stores), and one bit per 4 KiB page that says whether
/// the page was written. Any number of threads may use it without a lock as long as they do not touch the same octets;
/// resize() alone takes one.
///
/// A clear bit promises that the page reads as zeroes: a writer sets it after its copy, a discard clears it before it
/// gives the page back, so that no interleaving leaves data behind a clear bit.
class arena {
 public:
  static constexpr std::uint64_t page = 4096;

  /// errc::no_space when the system grants no address space for `size` octets.
  static result<std::unique_ptr<arena>> make(std::uint64_t size, bool huge_pages = false);
  ~arena();
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;

  std::uint64_t size() const { return size_.load(std::memory_order_acquire); }
  /// Octets that may be touched: every size so far fits, so that a request which a shrink overtakes harms nobody.
  std::uint64_t touchable() const { return touchable_.load(std::memory_order_acquire); }
  std::uint8_t* at(std::uint64_t offset) const { return memory_ + offset; }

  /// After octets of the range were written.
  void mark(std::uint64_t offset, std::uint64_t length);
  /// The range reads as zeroes; whole pages return to the system and count as unwritten.
  void discard(std::uint64_t offset, std::uint64_t length);
  /// The range reads as zeroes and counts as written.
  void write_zeroes(std::uint64_t offset, std::uint64_t length);
  bool is_mapped(std::uint64_t offset) const { return provisioned(offset / page); }
  /// The first page boundary in (offset, end) where is_mapped() changes, or `end`.
  std::uint64_t run_end(std::uint64_t offset, std::uint64_t end) const;

  /// Grows (the new range reads as zeroes) or shrinks. errc::no_space beyond the address space reserved at the start.
  result<void> resize(std::uint64_t size);
  /// Whether resize() would find the address space for it.
  result<void> check_size(std::uint64_t size) const;

 private:
  arena(std::uint8_t* memory, std::uint64_t reserved, std::uint64_t* bitmap)
      : memory_(memory), bitmap_(bitmap), reserved_(reserved) {}
  std::atomic_ref<std::uint64_t> word(std::uint64_t index) const { return std::atomic_ref(bitmap_[index]); }
  bool provisioned(std::uint64_t number) const {
    return (word(number / 64).load(std::memory_order_relaxed) >> (number % 64) & 1) != 0;
  }
  void zero_part(std::uint64_t offset, std::uint64_t length);
  void release_pages(std::uint64_t first, std::uint64_t last);
  void give_back(std::uint64_t first, std::uint64_t last);

  std::uint8_t* memory_;
  std::uint64_t* bitmap_;
  std::uint64_t reserved_;
  std::atomic<std::uint64_t> size_ = 0;
  std::atomic<std::uint64_t> touchable_ = 0;
  std::mutex resizing_;
};

}  // namespace sluice::ram
