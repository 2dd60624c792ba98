#pragma once
#include <cstdint>
#include <cstring>
#include <optional>

#include "actors/base/bytes.hpp"

/// What sectors hold: every sector that is written carries a number that no other write uses, in all its octets.
namespace sluice::sim {

inline constexpr std::uint64_t sector_bytes = 512;

/// Says which write, and which of its sectors; 0 are zeroes.
using stamp = std::uint64_t;
inline constexpr stamp zeroes = 0;
inline constexpr std::uint32_t any_sector = 0xffffffff;  // one pattern for many sectors: WRITE SAME

inline stamp make_stamp(std::uint64_t write, std::uint32_t sector) {
  return write << 32 | sector;
}

inline std::uint64_t stamp_word(stamp s, unsigned index) {
  if (s == zeroes || index == 0) return s;
  const std::uint64_t mixed = (s + index) * 0x9e3779b97f4a7c15;
  return mixed ^ mixed >> 29;
}

inline void fill(bytes sector, stamp s) {
  for (unsigned i = 0; i < sector_bytes / 8; ++i) {
    const std::uint64_t word = stamp_word(s, i);
    std::memcpy(sector.data() + i * 8, &word, 8);
  }
}

/// The stamp of a sector; nullopt when it is of no one piece.
inline std::optional<stamp> read_stamp(const_bytes sector) {
  stamp s;
  std::memcpy(&s, sector.data(), 8);
  for (unsigned i = 1; i < sector_bytes / 8; ++i) {
    std::uint64_t word;
    std::memcpy(&word, sector.data() + i * 8, 8);
    if (word != stamp_word(s, i)) return std::nullopt;
  }
  return s;
}

}  // namespace sluice::sim
