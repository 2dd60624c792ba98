#include "tiers/cache/ram_index.hpp"

#include <algorithm>
#include <cstring>

#if defined(__SANITIZE_THREAD__)
#define SLUICE_FRAMES_IN_WORDS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLUICE_FRAMES_IN_WORDS 1
#endif
#endif

namespace sluice::cache {

#ifdef SLUICE_FRAMES_IN_WORDS
// ThreadSanitizer knows neither sequence locks nor fences: for it, data move as atomic words, at a third of the speed.
namespace {

std::atomic_ref<std::uint64_t> word_at(std::uint8_t* address) {
  return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(address));
}

void copy_from_frame(std::uint8_t* to, std::uint8_t* from, std::uint64_t length) noexcept {
  // Frames are aligned: only a scatter list of odd cuts makes the ends of a piece less than whole words.
  std::uint64_t at = 0;
  if (const std::uint64_t lead = -reinterpret_cast<std::uintptr_t>(from) % 8; lead != 0) {
    const std::uint64_t word = word_at(from + lead - 8).load(std::memory_order_acquire);
    at = std::min(lead, length);
    std::memcpy(to, reinterpret_cast<const std::uint8_t*>(&word) + 8 - lead, at);
  }
  for (; at < length; at += std::min<std::uint64_t>(8, length - at)) {
    const std::uint64_t word = word_at(from + at).load(std::memory_order_acquire);
    std::memcpy(to + at, &word, std::min<std::uint64_t>(8, length - at));
  }
}

}  // namespace

void copy_into_frame(std::uint8_t* to, const std::uint8_t* from) noexcept {
  for (std::size_t at = 0; at < block_bytes; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, from + at, 8);
    word_at(to + at).store(word, std::memory_order_release);
  }
}
#else
namespace {

void copy_from_frame(std::uint8_t* to, const std::uint8_t* from, std::uint64_t length) noexcept {
  std::memcpy(to, from, length);
  std::atomic_thread_fence(std::memory_order_acquire);  // before the reader looks at the version again
}

}  // namespace

void copy_into_frame(std::uint8_t* to, const std::uint8_t* from) noexcept {
  std::atomic_thread_fence(std::memory_order_release);  // after the frame was made invalid
  std::memcpy(to, from, block_bytes);
}
#endif

void ram_index::copy(slot s, std::uint64_t offset, std::uint8_t* to, std::uint64_t length, bool home) const noexcept {
  std::uint8_t* const from = frames_[s].memory.load(std::memory_order_acquire) + offset;
  if (home) {
    std::memcpy(to, from, length);
  } else {
    copy_from_frame(to, from, length);
  }
}

}  // namespace sluice::cache
