#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "actors/base/bytes.hpp"

/// What a journal is on flash, in blocks of 4 KiB, numbers big-endian, a CRC32C over the rest in the last four octets
/// of every block of metadata:
///
///   blocks 0, 1   the superblock, twice: both are written at each change, one after the other
///   blocks 2 …    the log: records, each a header, the blocks of data that it names, and as many blocks again that are
///                 not written, one for each block of the store that it makes zeroes
///
/// A record follows the one before at once, or at the log's start where one of the greatest length would not fit. It
/// carries the next sequence number, and the *life* of the record before it: a number drawn each time the journal is
/// opened. So what a log held before a crash is never taken for the continuation of what was written after it.
namespace sluice::journal {

inline constexpr std::uint64_t block_bytes = 4096;
inline constexpr std::uint64_t superblock_copies = 2;

using block_number = std::uint64_t;
using slot = std::uint32_t;  // a block of the log
inline constexpr slot no_slot = UINT32_MAX;

inline constexpr std::uint32_t record_blocks_limit = 256;
inline constexpr std::uint32_t min_record_blocks = 4;
inline constexpr std::uint32_t min_log_records = 8;  // records of the greatest length that a log holds at least
inline constexpr block_number largest_block = (block_number{1} << 40) - 2;
inline constexpr unsigned kind_shift = 56;              // a word is a block's number, and from this bit on its kind
inline constexpr std::uint64_t void_margin = 1U << 20;  // beyond the numbers of all records that a log may hold
inline constexpr std::size_t text_limit = 255;
inline constexpr std::size_t lost_limit = 128;

/// What becomes of a block of the store.
enum class kind : std::uint8_t { data, zeroes, discard };

struct block_range {
  block_number first = 0;
  std::uint64_t count = 0;
  bool operator==(const block_range&) const = default;
};

struct superblock {
  std::uint64_t id = 0;      // drawn when the journal was formatted; records of another id are void
  std::uint64_t serial = 0;  // of two intact copies the one with the higher number counts
  std::uint64_t journal_bytes = 0;
  std::uint32_t record_blocks = 0;  // the most that a record takes, header included
  slot tail = 0;                    // where the log begins, with which record, after a record of which life
  std::uint64_t tail_sequence = 0;
  std::uint64_t tail_life = 0;
  std::uint64_t epoch = 0;         // of the mark on the medium below when the journal was opened over it
  std::uint64_t changed_unix = 0;  // s
  bool claimed = false;            // the medium has noted the epoch
  std::uint64_t life = 0;          // of records that are written since the journal was opened
  std::uint64_t acknowledged = 0;  // all records up to this one were durable, and are missing if they are not found
  bool adopted = false;  // an operator said that what is in the log belongs to whatever medium it is opened over
  std::string medium;    // the store below, as its operator calls it
  std::string owner;     // host and path, likewise
  /// Blocks that were acknowledged and cannot be read any more, nor were written since; and what lies between them,
  /// when they were more than lost_limit ranges.
  std::vector<block_range> lost;
  bool operator==(const superblock&) const = default;

  slot slots() const { return static_cast<slot>(journal_bytes / block_bytes - superblock_copies); }
};

/// Whether a journal of these measures can be: a log of min_log_records records that slots can count.
bool is_layout(std::uint64_t journal_bytes, std::uint32_t record_blocks);

struct record_header {
  std::uint64_t id = 0;
  std::uint64_t sequence = 0;
  std::uint64_t life = 0;
  std::uint64_t life_before = 0;
  std::uint64_t acknowledged = 0;  // this record and all before it were durable when this header was written
  struct entry {
    block_number block = 0;
    kind what = kind::data;
    std::uint32_t crc = 0;  // CRC32C of the block's content; 0 but for data
    bool operator==(const entry&) const = default;
  };
  /// Those with data first. Entry i has the slot i + 1 behind the header's.
  std::vector<entry> entries;
  bool operator==(const record_header&) const = default;

  std::uint32_t blocks() const { return static_cast<std::uint32_t>(entries.size()) + 1; }
  std::uint32_t data_blocks() const;
};

/// Into block_bytes octets. Texts are cut to their limit, lists must keep theirs.
void encode(const superblock& from, bytes to);
void encode(const record_header& from, bytes to);
/// From block_bytes octets; nullopt when they are not one that was written whole.
std::optional<superblock> decode_superblock(const_bytes from);
std::optional<record_header> decode_header(const_bytes from);
/// Whether a block may have been meant to be a superblock: it is damaged then, and not one of something else.
bool looks_like_superblock(const_bytes from);

}  // namespace sluice::journal
