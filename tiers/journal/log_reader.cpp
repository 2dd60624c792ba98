#include "tiers/journal/log_reader.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "actors/base/check.hpp"
#include "actors/wire/crc.hpp"

// How much of the log counts after a crash:
//
//   - records count from the tail on as long as each follows the one before (id, sequence, life);
//   - a record that is not whole and that nobody was told of (its number is above `acknowledged`, which later records
//   and
//     the superblock carry) is where the power went: it ends the log, and nothing is missing;
//   - one that is not whole and was acknowledged is kept with its data marked by their CRC: those blocks are told as
//   lost
//     when they are read or brought below, and all others are there;
//   - when something behind the end, or the superblock, says that more was acknowledged, data are missing of which not
//   even
//     the blocks are known. Nobody but the operator decides then (offline.hpp).
namespace sluice::journal {
namespace {

constexpr std::uint32_t damage_reach_records = 16;

bool reads_whole(const result<std::uint64_t>& read, std::uint64_t wanted) {
  return read && *read == wanted;
}

}  // namespace

void free_memory::operator()(std::uint8_t* memory) const noexcept {
  std::free(memory);
}

aligned_memory allocate_blocks(std::uint64_t blocks) {
  auto* memory = static_cast<std::uint8_t*>(std::aligned_alloc(block_bytes, blocks * block_bytes));
  SLUICE_CHECK(memory != nullptr);
  return aligned_memory(memory);
}

/// A stretch of the log in memory that moves forward.
class log_reader::window {
 public:
  window(log_reader& reader, slot slots, std::uint32_t record_blocks)
      : reader_(reader), slots_(slots), width_(2 * record_blocks), memory_(allocate_blocks(width_)) {}

  /// The block, and as many as follow it up to `count`; a block that cannot be read is zeroes, and unreadable() then.
  const_bytes at(slot where, std::uint32_t count) {
    SLUICE_CHECK(count <= width_ && where + count <= slots_);
    if (!filled_ || where < first_ || where + count > first_ + filled_) fill(where);
    return {memory_.get() + (where - first_) * block_bytes, count * block_bytes};
  }
  bool unreadable(slot where) const { return std::count(bad_.begin(), bad_.end(), where) != 0; }

 private:
  void fill(slot where) {
    first_ = where;
    filled_ = std::min(width_, slots_ - where);
    bad_.clear();
    const std::uint64_t length = std::uint64_t{filled_} * block_bytes;
    if (reads_whole(reader_.loop_.read_now(reader_.handle_, {memory_.get(), length}, offset_of(where)), length)) return;
    // Block by block: one that cannot be read must not take its neighbours with it.
    for (slot i = 0; i < filled_; ++i) {
      const bytes block{memory_.get() + i * block_bytes, block_bytes};
      if (reads_whole(reader_.loop_.read_now(reader_.handle_, block, offset_of(where + i)), block_bytes)) continue;
      std::memset(block.data(), 0, block_bytes);
      bad_.push_back(where + i);
    }
  }

  log_reader& reader_;
  const slot slots_;
  const slot width_;
  aligned_memory memory_;
  slot first_ = 0;
  slot filled_ = 0;
  std::vector<slot> bad_;
};

result<std::optional<superblock>> log_reader::read_superblock() {
  const aligned_memory memory = allocate_blocks(1);
  const bytes block{memory.get(), block_bytes};
  std::optional<superblock> newest;
  std::string problem;
  for (std::uint64_t copy = 0; copy < superblock_copies; ++copy) {
    const auto read = loop_.read_now(handle_, block, copy * block_bytes);
    if (!read) {
      problem = read.error().message;
      continue;
    }
    if (*read < block_bytes) continue;
    if (auto found = decode_superblock(block); found && (!newest || found->serial > newest->serial)) {
      newest = found;
      newest_copy_ = copy;
    } else if (!found && looks_like_superblock(block)) {
      problem = "it is damaged";
    }
  }
  if (newest || problem.empty()) return newest;
  return fail(errc::corrupt, "neither copy of the journal's superblock can be used: " + problem);
}

result<void> log_reader::write_superblock(superblock& wanted) {
  // The older copy first: a power loss tears one of the two at most.
  const aligned_memory memory = allocate_blocks(1);
  ++wanted.serial;
  encode(wanted, {memory.get(), block_bytes});
  for (std::uint64_t i = 1; i <= superblock_copies; ++i) {
    const std::uint64_t copy = (newest_copy_ + i) % superblock_copies;
    if (auto done = loop_.write_now(handle_, {memory.get(), block_bytes}, copy * block_bytes); !done) return done;
  }
  return {};
}

result<void> log_reader::forget_superblock() {
  constexpr std::uint64_t sector_bytes = 512;  // the least that the power leaves whole
  const aligned_memory memory = allocate_blocks(1);
  const bytes block{memory.get(), block_bytes};
  for (std::uint64_t copy = 0; copy < superblock_copies; ++copy) {
    const auto read = loop_.read_now(handle_, block, copy * block_bytes);
    if (!read) return tl::unexpected(read.error());
    if (*read < block_bytes || !looks_like_superblock(block)) continue;
    std::memset(block.data(), 0, sector_bytes);
    if (auto done = loop_.write_now(handle_, block, copy * block_bytes); !done) return done;
  }
  return {};
}

/// One way through a log.
class log_reader::walker {
 public:
  walker(log_reader& reader, const superblock& super)
      : super_(super), slots_(super.slots()), blocks_(reader, slots_, super.record_blocks) {
    found_.head = super.tail;
    found_.next_sequence = super.tail_sequence;
    found_.last_life = super.tail_life;
    acknowledged_ = super.acknowledged;
  }

  /// Record after record, as long as each is the one that follows.
  result<void> follow() {
    for (;;) {
      const log_position here = place_of_record(found_.head, slots_, super_.record_blocks);
      if (here + super_.record_blocks > super_.tail + slots_) return {};
      const auto first = static_cast<slot>(here % slots_);
      const auto header = decode_header(blocks_.at(first, 1));
      if (!header && blocks_.unreadable(first))
        return fail(errc::io, "a block of the journal cannot be read, at octet " + std::to_string(offset_of(first)));
      if (!header || !follows(*header)) return {};
      contents_.push_back(content_of(*header, first));
      found_.records.push_back({here, header->sequence, header->life, header->blocks()});
      found_.entries.insert(found_.entries.end(), header->entries.begin(), header->entries.end());
      acknowledged_ = std::max(acknowledged_, header->acknowledged);
      found_.head = here + header->blocks();
      found_.next_sequence = header->sequence + 1;
      found_.last_life = header->life;
    }
  }

  /// The first record that is not whole and that nobody was told of is the end.
  result<void> cut() {
    std::size_t kept_entries = 0;
    for (std::size_t i = 0; i < contents_.size(); ++i) {
      const record_info& record = found_.records[i];
      if (contents_[i] == content::whole || record.sequence <= acknowledged_) {
        kept_entries += record.blocks - 1;
        continue;
      }
      if (contents_[i] == content::unreadable)
        return fail(errc::io, "a block of the journal's last records cannot be read");
      found_.next_sequence = record.sequence;
      found_.last_life = i == 0 ? super_.tail_life : found_.records[i - 1].life;
      found_.head = i == 0 ? super_.tail : found_.records[i - 1].position + found_.records[i - 1].blocks;
      found_.entries.resize(kept_entries);
      found_.records.resize(i);
      return {};
    }
    return {};
  }

  /// Whether the superblock, or a record behind the end, says that there should be more.
  void look_behind(bool thorough) {
    const log_position end = log_position{super_.tail} + slots_;
    const log_position reach =
        thorough ? end : found_.head + std::uint64_t{damage_reach_records} * super_.record_blocks;
    for (log_position at = found_.head; at < std::min(end, reach); ++at) {
      const auto header = decode_header(blocks_.at(static_cast<slot>(at % slots_), 1));
      if (!header || header->id != super_.id || header->sequence < found_.next_sequence) continue;
      if (header->acknowledged >= found_.next_sequence) found_.damaged_from = found_.next_sequence;
      found_.stray_headers.push_back(static_cast<slot>(at % slots_));
    }
    if (acknowledged_ >= found_.next_sequence) found_.damaged_from = found_.next_sequence;
  }

  found_log take() { return std::move(found_); }

 private:
  enum class content : std::uint8_t { whole, torn, unreadable };

  /// The life of the record before tells a record of this turn of the ring from one that a life wrote which was cut
  /// off, and whose number was given out again.
  bool follows(const record_header& header) const {
    return header.id == super_.id && header.sequence == found_.next_sequence &&
           header.life_before == found_.last_life && header.blocks() <= super_.record_blocks;
  }
  content content_of(const record_header& header, slot first) {
    const std::uint32_t data = header.data_blocks();
    const const_bytes octets = blocks_.at(first, 1 + data).subspan(block_bytes);
    content state = content::whole;
    for (std::uint32_t i = 0; i < data && state != content::unreadable; ++i)
      if (wire::crc32c(octets.subspan(i * block_bytes, block_bytes)) != header.entries[i].crc)
        state = blocks_.unreadable(first + 1 + i) ? content::unreadable : content::torn;
    return state;
  }

  const superblock& super_;
  const slot slots_;
  window blocks_;
  found_log found_;
  std::vector<content> contents_;  // of the records
  std::uint64_t acknowledged_ = 0;
};

result<found_log> log_reader::walk(const superblock& super, bool thorough) {
  // What an earlier process left in caches must not be lost after more was written behind it.
  if (auto synced = loop_.sync_now(handle_); !synced) return tl::unexpected(synced.error());
  walker through(*this, super);
  if (auto followed = through.follow(); !followed) return tl::unexpected(followed.error());
  if (auto cut = through.cut(); !cut) return tl::unexpected(cut.error());
  through.look_behind(thorough);
  return through.take();
}

result<void> log_reader::wipe(const std::vector<slot>& headers) {
  const aligned_memory memory = allocate_blocks(1);
  std::memset(memory.get(), 0, block_bytes);
  for (const slot each : headers)
    if (auto done = loop_.write_now(handle_, {memory.get(), block_bytes}, offset_of(each)); !done) return done;
  return {};
}

}  // namespace sluice::journal
