#include "tiers/journal/journal_format.hpp"

#include <algorithm>
#include <array>

#include "actors/base/check.hpp"
#include "actors/wire/big_endian.hpp"
#include "actors/wire/metadata_block.hpp"

// What lies on flash, all of it in blocks of 4 KiB:
//
//   block 0, 1   the superblock, twice; the one with the higher serial counts
//   block 2 on   the log: slots 0 ... n - 1, a ring. A record is a header and the data of its blocks, never round the
//   end.
//
// A superblock: magic 8, id 8, serial 8, octets of the journal 8, blocks of a record 4, tail 4 (the slot where the log
// begins), number 8 and life 8 of what lies there, epoch 8, time 8, adopted 1, claimed 1, at 80 life 8, acknowledged 8,
// at 96 the medium and the owner (length 1, octets), then how many stretches are lost 4 and each of them: first block
// 5, upper part of the count 3, lower part 4. Last, as in each block of this kind, a CRC32C.
//
// A header: magic 8, id 8, sequence 8, life 8, life of the record before 8, acknowledged 8, number of entries 4, at 64
// the entries: block and kind 8, CRC32C of the data 4. Those with data come first, in the order of the data behind the
// header.
//
// Sequence, id and both lives bind a record to the one before it: what an earlier turn of the ring, or an earlier life
// that was cut off, left in the slots does not follow.
namespace sluice::journal {
namespace {

constexpr std::uint64_t superblock_magic = 0x6a6f75726e616c01;  // "journal", version 1
constexpr std::uint64_t header_magic = 0x7265636f72642001;      // "record "
constexpr std::size_t entries_at = 64;
constexpr std::size_t entry_bytes = 12;
constexpr std::size_t texts_at = 96;
constexpr std::size_t text_bytes = 256;  // a length and the octets
constexpr std::size_t lost_at = texts_at + 2 * text_bytes + 4;
constexpr std::size_t lost_bytes = 12;
constexpr unsigned count_shift = 40;  // above the number of a block: the upper part of how many are lost

static_assert(entries_at + (record_blocks_limit - 1) * entry_bytes <= wire::metadata_crc_at);
static_assert(lost_at + lost_limit * lost_bytes <= wire::metadata_crc_at && text_limit < text_bytes);

void put_text(bytes to, std::size_t at, const std::string& text) {
  const std::size_t length = std::min(text.size(), text_limit);
  wire::store8(to, at, length);
  std::copy_n(text.begin(), length, to.begin() + static_cast<std::ptrdiff_t>(at) + 1);
}
std::string get_text(const_bytes from, std::size_t at) {
  return std::string(as_text(from.subspan(at + 1, wire::load8(from, at))));
}

}  // namespace

bool is_layout(std::uint64_t journal_bytes, std::uint32_t record_blocks) {
  if (record_blocks < min_record_blocks || record_blocks > record_blocks_limit) return false;
  if (journal_bytes % block_bytes != 0) return false;
  const std::uint64_t blocks = journal_bytes / block_bytes;
  return blocks >= superblock_copies + std::uint64_t{record_blocks} * min_log_records && blocks < no_slot;
}

std::uint32_t record_header::data_blocks() const {
  const auto with_data = [](const entry& each) { return each.what == kind::data; };
  return static_cast<std::uint32_t>(std::count_if(entries.begin(), entries.end(), with_data));
}

void encode(const superblock& from, bytes to) {
  SLUICE_CHECK(from.lost.size() <= lost_limit);
  wire::begin_metadata(to, superblock_magic);
  wire::store64(to, 8, from.id);
  wire::store64(to, 16, from.serial);
  wire::store64(to, 24, from.journal_bytes);
  wire::store32(to, 32, from.record_blocks);
  wire::store32(to, 36, from.tail);
  wire::store64(to, 40, from.tail_sequence);
  wire::store64(to, 48, from.tail_life);
  wire::store64(to, 56, from.epoch);
  wire::store64(to, 64, from.changed_unix);
  wire::store8(to, 72, from.adopted ? 1 : 0);
  wire::store8(to, 73, from.claimed ? 1 : 0);
  wire::store64(to, 80, from.life);
  wire::store64(to, 88, from.acknowledged);
  put_text(to, texts_at, from.medium);
  put_text(to, texts_at + text_bytes, from.owner);
  wire::store32(to, lost_at - 4, from.lost.size());
  for (std::size_t i = 0; i < from.lost.size(); ++i) {
    wire::store64(to, lost_at + i * lost_bytes, from.lost[i].first | from.lost[i].count >> 32 << count_shift);
    wire::store32(to, lost_at + i * lost_bytes + 8, from.lost[i].count & UINT32_MAX);
  }
  wire::end_metadata(to);
}

std::optional<superblock> decode_superblock(const_bytes from) {
  if (!wire::is_metadata(from, superblock_magic)) return std::nullopt;
  superblock made;
  made.id = wire::load64(from, 8);
  made.serial = wire::load64(from, 16);
  made.journal_bytes = wire::load64(from, 24);
  made.record_blocks = wire::load32(from, 32);
  made.tail = wire::load32(from, 36);
  made.tail_sequence = wire::load64(from, 40);
  made.tail_life = wire::load64(from, 48);
  made.epoch = wire::load64(from, 56);
  made.changed_unix = wire::load64(from, 64);
  made.adopted = wire::load8(from, 72) == 1;
  made.claimed = wire::load8(from, 73) == 1;
  made.life = wire::load64(from, 80);
  made.acknowledged = wire::load64(from, 88);
  made.medium = get_text(from, texts_at);
  made.owner = get_text(from, texts_at + text_bytes);
  const std::uint32_t lost = wire::load32(from, lost_at - 4);
  if (!is_layout(made.journal_bytes, made.record_blocks) || made.tail >= made.slots() || lost > lost_limit)
    return std::nullopt;
  for (std::size_t i = 0; i < lost; ++i) {
    const std::uint64_t word = wire::load64(from, lost_at + i * lost_bytes);
    const block_range range{word & ((std::uint64_t{1} << count_shift) - 1),
                            word >> count_shift << 32 | wire::load32(from, lost_at + i * lost_bytes + 8)};
    if (range.first > largest_block || range.count == 0 || range.count > largest_block - range.first)
      return std::nullopt;
    made.lost.push_back(range);
  }
  return made;
}

void encode(const record_header& from, bytes to) {
  SLUICE_CHECK(from.entries.size() < record_blocks_limit);
  wire::begin_metadata(to, header_magic);
  wire::store64(to, 8, from.id);
  wire::store64(to, 16, from.sequence);
  wire::store64(to, 24, from.life);
  wire::store64(to, 32, from.life_before);
  wire::store64(to, 40, from.acknowledged);
  wire::store32(to, 48, from.entries.size());
  for (std::size_t i = 0; i < from.entries.size(); ++i) {
    const record_header::entry& each = from.entries[i];
    wire::store64(to, entries_at + i * entry_bytes, each.block | static_cast<std::uint64_t>(each.what) << kind_shift);
    wire::store32(to, entries_at + i * entry_bytes + 8, each.crc);
  }
  wire::end_metadata(to);
}

std::optional<record_header> decode_header(const_bytes from) {
  if (!wire::is_metadata(from, header_magic)) return std::nullopt;
  const std::uint32_t count = wire::load32(from, 48);
  if (count >= record_blocks_limit) return std::nullopt;
  record_header made;
  made.id = wire::load64(from, 8);
  made.sequence = wire::load64(from, 16);
  made.life = wire::load64(from, 24);
  made.life_before = wire::load64(from, 32);
  made.acknowledged = wire::load64(from, 40);
  bool data_is_over = false;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t word = wire::load64(from, entries_at + i * entry_bytes);
    const std::uint64_t what = word >> kind_shift;
    const block_number block = word & ((std::uint64_t{1} << kind_shift) - 1);
    if (what > static_cast<std::uint64_t>(kind::discard) || block > largest_block) return std::nullopt;
    const bool data = static_cast<kind>(what) == kind::data;
    if (data && data_is_over) return std::nullopt;
    data_is_over |= !data;
    made.entries.push_back({block, static_cast<kind>(what), wire::load32(from, entries_at + i * entry_bytes + 8)});
  }
  return made;
}

bool looks_like_superblock(const_bytes from) {
  // A few octets are enough: one of them may be what is wrong.
  std::array<std::uint8_t, 8> expected;
  wire::store64(expected, 0, superblock_magic);
  unsigned alike = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) alike += from[i] == expected[i] ? 1 : 0;
  return alike >= 6;
}

}  // namespace sluice::journal
