#include "tiers/cache/flash/flash_format.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "actors/base/check.hpp"
#include "actors/wire/big_endian.hpp"
#include "actors/wire/metadata_block.hpp"

// What lies on flash, behind the journal where there is one, all of it in blocks of 4 KiB:
//
//   block 0       the superblock
//   then          the region table: for each region of the store the number of the newest segment that is void for it
//   then          segments, the first at a multiple of their size: a header and the blocks that it lists. A log:
//   segments
//                 are written one after the other and round again, each with a higher number.
//
// A superblock: magic 8, id 8, octets of flash 8, of the store 8, blocks of a segment 4, pages of the table 4, blocks
// of a region 8. A header: magic 8, id 8, number 8, entries 4, segment 4, then block 8 and CRC32C 4 each. A page of the
// table: magic 8, id 8, number of the page 8, at 32 8 for each region. Last, in each, a CRC32C.
//
// A block counts when its segment's number is above that of its region, and no newer segment has the block: to void a
// region costs one write, however many blocks of it lie on flash.
namespace sluice::cache::flash {
namespace {

constexpr std::uint64_t superblock_magic = 0x736c756963650002;  // "sluice", version 2
constexpr std::uint64_t header_magic = 0x736c756963650102;
constexpr std::uint64_t page_magic = 0x736c756963650201;
constexpr std::size_t entries_at = 32;
constexpr std::size_t entry_bytes = 12;

static_assert(entries_at + segment_entries_limit * entry_bytes <= wire::metadata_crc_at);
static_assert(entries_at + region_page_entries * 8 <= wire::metadata_crc_at);

}  // namespace

std::uint64_t superblock::first_segment_block() const {
  const std::uint64_t metadata = 1 + std::uint64_t{region_pages};
  return (metadata + segment_blocks - 1) / segment_blocks * segment_blocks;
}

std::uint64_t superblock::segments() const {
  const std::uint64_t blocks = flash_bytes / block_bytes;
  return blocks < first_segment_block() ? 0 : (blocks - first_segment_block()) / segment_blocks;
}

std::optional<superblock> lay_out(std::uint64_t id, std::uint64_t flash_bytes, std::uint64_t store_bytes,
                                  std::uint32_t segment_blocks, std::uint64_t min_region_blocks) {
  if (min_region_blocks == 0 || min_region_blocks > largest_store_blocks) return std::nullopt;
  superblock made;
  made.id = id;
  made.flash_bytes = flash_bytes;
  made.store_bytes = store_bytes;
  made.segment_blocks = segment_blocks;
  const std::uint64_t max_regions = std::uint64_t{region_pages_limit} * region_page_entries;
  made.region_blocks = std::bit_ceil(std::max(min_region_blocks, store_bytes / block_bytes / max_regions + 1));
  const std::uint64_t regions = store_bytes / block_bytes / made.region_blocks + 1;
  made.region_pages = static_cast<std::uint32_t>(
      std::min<std::uint64_t>((regions + region_page_entries - 1) / region_page_entries, region_pages_limit));
  if (segment_blocks < 2 || segment_blocks > segment_entries_limit + 1 || made.segments() < 2) return std::nullopt;
  return made;
}

void encode(const superblock& from, bytes to) {
  wire::begin_metadata(to, superblock_magic);
  wire::store64(to, 8, from.id);
  wire::store64(to, 16, from.flash_bytes);
  wire::store64(to, 24, from.store_bytes);
  wire::store32(to, 32, from.segment_blocks);
  wire::store32(to, 36, from.region_pages);
  wire::store64(to, 40, from.region_blocks);
  wire::end_metadata(to);
}

std::optional<superblock> decode_superblock(const_bytes from) {
  if (!wire::is_metadata(from, superblock_magic)) return std::nullopt;
  superblock made;
  made.id = wire::load64(from, 8);
  made.flash_bytes = wire::load64(from, 16);
  made.store_bytes = wire::load64(from, 24);
  made.segment_blocks = wire::load32(from, 32);
  made.region_pages = wire::load32(from, 36);
  made.region_blocks = wire::load64(from, 40);
  // The layout follows from the sizes: anything else was not written by us.
  const auto expected = lay_out(made.id, made.flash_bytes, made.store_bytes, made.segment_blocks, made.region_blocks);
  return expected == made ? expected : std::nullopt;
}

void encode(const segment_header& from, bytes to) {
  SLUICE_CHECK(from.entries.size() <= segment_entries_limit);
  wire::begin_metadata(to, header_magic);
  wire::store64(to, 8, from.id);
  wire::store64(to, 16, from.sequence);
  wire::store32(to, 24, static_cast<std::uint32_t>(from.entries.size()));
  wire::store32(to, 28, from.segment);
  for (std::size_t i = 0; i < from.entries.size(); ++i) {
    wire::store64(to, entries_at + i * entry_bytes, from.entries[i].block);
    wire::store32(to, entries_at + i * entry_bytes + 8, from.entries[i].crc);
  }
  wire::end_metadata(to);
}

std::optional<segment_header> decode_header(const_bytes from) {
  if (!wire::is_metadata(from, header_magic)) return std::nullopt;
  const std::uint32_t count = wire::load32(from, 24);
  if (count > segment_entries_limit) return std::nullopt;
  segment_header made;
  made.id = wire::load64(from, 8);
  made.sequence = wire::load64(from, 16);
  made.segment = wire::load32(from, 28);
  for (std::size_t i = 0; i < count; ++i)
    made.entries.push_back(
        {wire::load64(from, entries_at + i * entry_bytes), wire::load32(from, entries_at + i * entry_bytes + 8)});
  return made;
}

bool looks_like_header(const_bytes from) {
  // A few octets are enough: one of them may be what is wrong.
  unsigned alike = 0;
  std::array<std::uint8_t, 8> expected;
  wire::store64(expected, 0, header_magic);
  for (std::size_t i = 0; i < expected.size(); ++i) alike += from[i] == expected[i] ? 1 : 0;
  return alike >= 6;
}

void encode(const region_page& from, bytes to) {
  SLUICE_CHECK(from.void_up_to.size() == region_page_entries);
  wire::begin_metadata(to, page_magic);
  wire::store64(to, 8, from.id);
  wire::store64(to, 16, from.number);
  for (std::size_t i = 0; i < region_page_entries; ++i) wire::store64(to, entries_at + i * 8, from.void_up_to[i]);
  wire::end_metadata(to);
}

std::optional<region_page> decode_region_page(const_bytes from) {
  if (!wire::is_metadata(from, page_magic)) return std::nullopt;
  region_page made;
  made.id = wire::load64(from, 8);
  made.number = wire::load64(from, 16);
  for (std::size_t i = 0; i < region_page_entries; ++i)
    made.void_up_to.push_back(wire::load64(from, entries_at + i * 8));
  return made;
}

}  // namespace sluice::cache::flash
