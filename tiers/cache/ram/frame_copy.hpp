#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "tiers/cache/policy/geometry.hpp"

/// Data in frames, which one core may overwrite while others copy it: the others find out afterwards and throw away
/// what they have (ram_index.hpp), so all that is asked of a copy is that it happens between what comes before and
/// after it.
///
/// To the language that is a race, and words that are atomic, each by itself, are the way to write it; so it is done
/// under the thread sanitizer, which watches the rest of the protocol then, and on processors that do not keep loads
/// and stores in order. Where they do [Intel SDM 3A 9.2.2], a fence for the compiler is enough, at a quarter of the
/// cost.
namespace sluice::cache {

#if defined(__SANITIZE_THREAD__) || !defined(__x86_64__)
inline constexpr bool copies_by_words = true;
#else
inline constexpr bool copies_by_words = false;
#endif

/// block_bytes octets from anywhere into a frame, by the owner.
inline void copy_into_frame(std::uint8_t* to, const std::uint8_t* from) noexcept {
  if constexpr (copies_by_words) {
    for (std::size_t at = 0; at < block_bytes; at += 8) {
      std::uint64_t word;
      std::memcpy(&word, from + at, 8);
      std::atomic_ref(*reinterpret_cast<std::uint64_t*>(to + at)).store(word, std::memory_order_release);
    }
  } else {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::memcpy(to, from, block_bytes);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

/// `length` octets at `from`, in a frame, by a core that is not its owner.
inline void copy_from_frame(std::uint8_t* to, std::uint8_t* from, std::uint64_t length) noexcept {
  if constexpr (!copies_by_words) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::memcpy(to, from, length);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return;
  }
  const auto word_at = [](std::uint8_t* address) {
    return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(address)).load(std::memory_order_acquire);
  };
  // Frames are aligned: only a scatter list of odd cuts makes the ends of a piece less than whole words.
  std::uint64_t at = 0;
  if (const std::uint64_t lead = -reinterpret_cast<std::uintptr_t>(from) % 8; lead != 0) {
    const std::uint64_t word = word_at(from + lead - 8);
    at = std::min(lead, length);
    std::memcpy(to, reinterpret_cast<const std::uint8_t*>(&word) + 8 - lead, at);
  }
  for (; at + 8 <= length; at += 8) {
    const std::uint64_t word = word_at(from + at);
    std::memcpy(to + at, &word, 8);
  }
  if (at < length) {
    const std::uint64_t word = word_at(from + at);
    std::memcpy(to + at, &word, length - at);
  }
}

}  // namespace sluice::cache
