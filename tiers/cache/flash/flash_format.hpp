#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "actors/base/bytes.hpp"
#include "tiers/cache/policy/geometry.hpp"

/// What lies on flash, in blocks of 4 KiB, numbers big-endian, a CRC32C over the rest in the last four octets of every
/// block of metadata:
///
///   block 0                 superblock
///   1 …                     region table: pages of region_page_entries sequence numbers
///   first_segment_block …   segments: a header that says what the blocks behind it are, then those blocks
namespace sluice::cache::flash {

inline constexpr std::uint32_t region_page_entries = 500;
inline constexpr std::uint32_t region_pages_limit = 256;
inline constexpr std::uint32_t segment_entries_limit = 255;
inline constexpr std::uint64_t nothing = UINT64_MAX;  // the block number of an entry that holds nothing

/// How the flash is laid out, and for which store.
struct superblock {
  std::uint64_t id = 0;  // drawn when the flash was formatted; headers and pages of another id are void
  std::uint64_t flash_bytes = 0;
  std::uint64_t store_bytes = 0;     // of the store below, when formatted
  std::uint32_t segment_blocks = 0;  // header included: 2 … segment_entries_limit + 1
  std::uint32_t region_pages = 0;
  std::uint64_t region_blocks = 0;  // of the store below, for each entry of the table
  bool operator==(const superblock&) const = default;

  std::uint64_t first_segment_block() const;
  std::uint64_t segments() const;
  std::uint64_t regions() const { return std::uint64_t{region_pages} * region_page_entries; }
};

inline constexpr std::uint64_t region_blocks_default = mib / block_bytes;

/// The layout for a flash of `flash_bytes` over a store of `store_bytes`, with regions of `min_region_blocks` (a power
/// of two) unless the table would have more than its limit of pages; nullopt when not even two segments fit.
std::optional<superblock> lay_out(std::uint64_t id, std::uint64_t flash_bytes, std::uint64_t store_bytes,
                                  std::uint32_t segment_blocks,
                                  std::uint64_t min_region_blocks = region_blocks_default);

struct segment_header {
  std::uint64_t id = 0;
  std::uint64_t sequence = 0;  // segments are written in this order
  std::uint32_t segment = 0;   // where it lies: a header that is read elsewhere is not that segment's
  struct entry {
    block_number block = nothing;
    std::uint32_t crc = 0;  // CRC32C of the block's content
    bool operator==(const entry&) const = default;
  };
  std::vector<entry> entries;  // entry i is block i + 1 of the segment
  bool operator==(const segment_header&) const = default;
};

struct region_page {
  std::uint64_t id = 0;
  std::uint64_t number = 0;
  /// Blocks of a region that lie in segments up to this sequence number are void.
  std::vector<std::uint64_t> void_up_to;  // region_page_entries of them
  bool operator==(const region_page&) const = default;
};

/// Into block_bytes octets.
void encode(const superblock& from, bytes to);
void encode(const segment_header& from, bytes to);
void encode(const region_page& from, bytes to);
/// From block_bytes octets; nullopt when they are not one that was written whole.
std::optional<superblock> decode_superblock(const_bytes from);
std::optional<segment_header> decode_header(const_bytes from);
std::optional<region_page> decode_region_page(const_bytes from);
/// Whether a block that is no header may have been meant to be one.
bool looks_like_header(const_bytes from);

}  // namespace sluice::cache::flash
