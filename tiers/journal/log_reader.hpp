#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "actors/base/result.hpp"
#include "actors/reactor/loop.hpp"
#include "tiers/journal/journal_format.hpp"

namespace sluice::journal {

/// Memory for direct I/O.
struct free_memory {
  void operator()(std::uint8_t* memory) const noexcept;
};
using aligned_memory = std::unique_ptr<std::uint8_t, free_memory>;
aligned_memory allocate_blocks(std::uint64_t blocks);

/// Positions count the blocks of the log that were ever passed: `position % slots` is the slot.
using log_position = std::uint64_t;

/// Where a record that is to be written at a position goes: there, or at the start of the log.
constexpr log_position place_of_record(log_position at, slot slots, std::uint32_t record_blocks) {
  return at % slots + record_blocks > slots ? at + slots - at % slots : at;
}

/// A record of the log, as it is known in memory.
struct record_info {
  log_position position = 0;
  std::uint64_t sequence = 0;
  std::uint64_t life = 0;
  std::uint32_t blocks = 0;  // header included
};

/// A log as it was found.
struct found_log {
  std::vector<record_info> records;
  std::vector<record_header::entry> entries;  // of all records, one after the other
  log_position head = 0;                      // where the next record goes, before place_of_record()
  std::uint64_t next_sequence = 0;
  std::uint64_t last_life = 0;
  /// Non-zero: records that were acknowledged are missing from here on, the sequence number that was expected.
  std::uint64_t damaged_from = 0;
  std::vector<slot> stray_headers;  // with damage: intact headers that lie behind it
};

/// Reads a journal with blocking calls: when it is opened, and for an operator who asks what it holds.
class log_reader {
 public:
  log_reader(reactor::loop& control_loop, reactor::handle opened) : loop_(control_loop), handle_(opened) {}

  /// nullopt: there never was a journal. errc::corrupt when there was one and neither copy of its superblock is intact.
  result<std::optional<superblock>> read_superblock();
  /// Writes both copies, with the next serial number; first the one that was not read as the newest, which stays until
  /// the other is whole.
  result<void> write_superblock(superblock& wanted);
  /// A journal that holds nothing is none any more. If the power goes meanwhile it is either, and never a damaged one.
  result<void> forget_superblock();
  /// Follows the log from its tail. errc::io when what would be the next record cannot be read. A record at the end
  /// that is not whole was never acknowledged, and is not there. Looks for damage in the whole log when `thorough`,
  /// else as far as records may have been under way at the same time.
  result<found_log> walk(const superblock& super, bool thorough = false);
  /// Makes blocks of the log no headers.
  result<void> wipe(const std::vector<slot>& headers);

 private:
  class window;
  class walker;

  reactor::loop& loop_;
  reactor::handle handle_;
  std::uint64_t newest_copy_ = superblock_copies - 1;
};

constexpr std::uint64_t offset_of(slot where) {
  return (superblock_copies + where) * block_bytes;
}

}  // namespace sluice::journal
