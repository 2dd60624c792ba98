#include "tiers/ram/arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <string>

#include "actors/base/bytes.hpp"
#include "actors/base/check.hpp"

namespace sluice::ram {
namespace {

// Room to grow is shared: each store takes a part of what the others have left, so that the first few may become large
// and thousands still fit into the 47 bits of address space that a process has.
constexpr std::uint64_t all_room = 64 * tib;
constexpr std::uint64_t part_of_room = 128;
constexpr std::uint64_t min_room = gib;
std::atomic<std::uint64_t> room_taken = 0;
constexpr std::uint64_t huge_page = 2 * mib;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// What a new store of `size` octets reserves at best.
std::uint64_t room_for(std::uint64_t size) {
  const std::uint64_t taken = room_taken.load(std::memory_order_relaxed);
  const std::uint64_t left = taken < all_room ? all_room - taken : 0;
  return round_up(std::max({2 * size, min_room, left / part_of_room}), huge_page);
}

std::uint64_t bitmap_bytes(std::uint64_t reserved) {
  return round_up(reserved / arena::page / 8, arena::page);
}

void* reserve(std::uint64_t length, int protection) {
  void* at = mmap(nullptr, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

/// The bits of pages [first, last) that lie in word `index`.
std::uint64_t mask_in_word(std::uint64_t index, std::uint64_t first, std::uint64_t last) {
  const std::uint64_t base = index * 64;
  const unsigned from = first > base ? static_cast<unsigned>(first - base) : 0;
  const unsigned to = last < base + 64 ? static_cast<unsigned>(last - base) : 64;
  return (~std::uint64_t{0} << from) & (~std::uint64_t{0} >> (64 - to));
}

}  // namespace

result<std::unique_ptr<arena>> arena::make(std::uint64_t size, bool huge_pages) {
  if (size > 64 * tib) return fail(errc::no_space, "a RAM store holds at most 64 TiB");
  const std::uint64_t least = std::max(round_up(size, huge_page), huge_page);
  for (std::uint64_t wanted = room_for(size);; wanted = std::max(least, wanted / 2 / huge_page * huge_page)) {
    void* memory = reserve(wanted, PROT_NONE);
    void* bitmap = memory ? reserve(bitmap_bytes(wanted), PROT_READ | PROT_WRITE) : nullptr;
    if (bitmap) {
      std::unique_ptr<arena> made(
          new arena(static_cast<std::uint8_t*>(memory), wanted, static_cast<std::uint64_t*>(bitmap)));
      room_taken.fetch_add(wanted, std::memory_order_relaxed);
      // Best effort. The first touch of a huge page zeroes 2 MiB while the core waits, so it is the operator who asks.
      (void)madvise(memory, wanted, huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
      if (auto grown = made->resize(size); !grown) return tl::unexpected(grown.error());
      return made;
    }
    if (memory) munmap(memory, wanted);
    if (wanted == least) {
      return fail(errc::no_space, "the system grants no address space for " + std::to_string(size) + " octets of RAM");
    }
  }
}

arena::~arena() {
  room_taken.fetch_sub(reserved_, std::memory_order_relaxed);
  munmap(memory_, reserved_);
  munmap(bitmap_, bitmap_bytes(reserved_));
}

void arena::mark(std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return;
  const std::uint64_t first = offset / page;
  const std::uint64_t last = (offset + length - 1) / page + 1;
  for (std::uint64_t i = first / 64; i <= (last - 1) / 64; ++i) {
    const std::uint64_t mask = mask_in_word(i, first, last);
    auto bits = word(i);
    // Most writes go to pages written before: looking first keeps the line shared between cores.
    if ((bits.load(std::memory_order_relaxed) & mask) != mask) bits.fetch_or(mask, std::memory_order_release);
  }
}

void arena::zero_part(std::uint64_t offset, std::uint64_t length) {
  if (length != 0 && provisioned(offset / page)) std::memset(at(offset), 0, length);
}

void arena::give_back(std::uint64_t first, std::uint64_t last) {
  if (first == last) return;
  // Locked memory can't be given back; it can still be cleared.
  if (madvise(at(first * page), (last - first) * page, MADV_DONTNEED) != 0) {
    std::memset(at(first * page), 0, (last - first) * page);
  }
}

/// Clears the bits of whole pages and returns their memory, in as few system calls as the bits allow.
void arena::release_pages(std::uint64_t first, std::uint64_t last) {
  std::uint64_t run_first = first;
  std::uint64_t run_last = first;
  for (std::uint64_t i = first / 64; i * 64 < last; ++i) {
    const std::uint64_t mask = mask_in_word(i, first, last);
    auto bits = word(i);
    if ((bits.load(std::memory_order_acquire) & mask) == 0) continue;
    bits.fetch_and(~mask, std::memory_order_acq_rel);
    const std::uint64_t begin = std::max(first, i * 64);
    if (begin != run_last) {
      give_back(run_first, run_last);
      run_first = begin;
    }
    run_last = std::min(last, i * 64 + 64);
  }
  give_back(run_first, run_last);
}

void arena::discard(std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t end = offset + length;
  const std::uint64_t first = round_up(offset, page);
  const std::uint64_t last = end / page * page;
  if (first > last) return zero_part(offset, length);
  zero_part(offset, first - offset);
  zero_part(last, end - last);
  if (first < last) release_pages(first / page, last / page);
}

void arena::write_zeroes(std::uint64_t offset, std::uint64_t length) {
  // Fresh pages from the system are zeroed memory too; a memset is cheaper only while it stays in the cache.
  if (length <= 128 * kib) {
    std::memset(at(offset), 0, length);
  } else {
    discard(offset, length);
  }
  mark(offset, length);
}

std::uint64_t arena::run_end(std::uint64_t offset, std::uint64_t end) const {
  const std::uint64_t first = offset / page;
  const std::uint64_t last = round_up(end, page) / page;
  const std::uint64_t invert = provisioned(first) ? ~std::uint64_t{0} : 0;
  for (std::uint64_t i = first / 64; i * 64 < last; ++i) {
    const std::uint64_t mask = mask_in_word(i, first, last);
    const std::uint64_t differs = (word(i).load(std::memory_order_relaxed) ^ invert) & mask;
    if (differs != 0) return (i * 64 + static_cast<unsigned>(std::countr_zero(differs))) * page;
  }
  return end;
}

result<void> arena::check_size(std::uint64_t size) const {
  if (size <= reserved_) return {};
  return fail(errc::no_space, "this RAM store grows to at most " + std::to_string(reserved_ / gib) +
                                  " GiB while it is open; remove and add it for more");
}

result<void> arena::resize(std::uint64_t size) {
  const std::lock_guard lock(resizing_);
  if (auto fits = check_size(size); !fits) return fits;
  const std::uint64_t before = size_.load();
  const std::uint64_t touched = round_up(size, page);
  if (touched > touchable_.load()) {
    if (mprotect(memory_, touched, PROT_READ | PROT_WRITE) != 0) return fail_errno(errno, "give memory to a RAM store");
    touchable_.store(touched, std::memory_order_release);
  }
  // What lies behind the end is cleared on the way up too: a write that a shrink overtook may have left octets there.
  if (size < before) size_.store(size, std::memory_order_release);
  const std::uint64_t from = std::min(size, before);
  discard(from, touchable_.load() - from);
  size_.store(size, std::memory_order_release);
  return {};
}

}  // namespace sluice::ram
