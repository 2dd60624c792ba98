#include "tiers/cache/policy/frequency_sketch.hpp"

#include <algorithm>
#include <bit>

#include "tiers/cache/policy/hash.hpp"

namespace sluice::cache {

frequency_sketch::frequency_sketch(std::uint64_t blocks)
    : words_(std::bit_ceil(std::max<std::uint64_t>(blocks, 8))),
      mask_(words_.size() - 1),
      sample_(10 * words_.size()) {}

frequency_sketch::place frequency_sketch::at(std::uint64_t hash, unsigned row) const noexcept {
  // Rows share the words: each has a fourth of the nibbles of every word, so that they never meet.
  const std::uint64_t spread = mix(hash + row);
  return {spread & mask_, static_cast<unsigned>(row * 4 + (spread >> 62)) * 4};
}

/// Only the least of a key's counters grow: the others are larger by what other keys have added.
void frequency_sketch::add(block_number key) noexcept {
  const unsigned now = estimate(key);
  if (now == most) return;
  const std::uint64_t hash = mix(key);
  for (unsigned row = 0; row < rows; ++row) {
    const place p = at(hash, row);
    if ((words_[p.word] >> p.shift & 0xf) == now) words_[p.word] += std::uint64_t{1} << p.shift;
  }
  if (++added_ >= sample_) halve();
}

unsigned frequency_sketch::estimate(block_number key) const noexcept {
  const std::uint64_t hash = mix(key);
  unsigned least = most;
  for (unsigned row = 0; row < rows; ++row) {
    const place p = at(hash, row);
    least = std::min(least, static_cast<unsigned>(words_[p.word] >> p.shift & 0xf));
  }
  return least;
}

void frequency_sketch::halve() noexcept {
  for (std::uint64_t& word : words_) word = word >> 1 & 0x7777777777777777U;
  added_ /= 2;
}

}  // namespace sluice::cache
