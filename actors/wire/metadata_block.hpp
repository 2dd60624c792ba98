#pragma once
#include <cstdint>

#include "actors/base/bytes.hpp"

/// A block of metadata on a medium: it begins with a number that says what it is, and ends with a CRC-32C of all before
/// that, so that a torn or flipped one is none.
namespace sluice::wire {

inline constexpr std::size_t metadata_block_bytes = 4096;
inline constexpr std::size_t metadata_crc_at = metadata_block_bytes - 4;

/// Zeroes, but for the number. `to` is metadata_block_bytes long.
void begin_metadata(bytes to, std::uint64_t magic);
/// When all else is there.
void end_metadata(bytes to);
bool is_metadata(const_bytes from, std::uint64_t magic);

}  // namespace sluice::wire
