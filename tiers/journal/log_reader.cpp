#include "tiers/journal/log_reader.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "actors/base/check.hpp"
#include "actors/wire/crc.hpp"

namespace sluice::journal {
namespace {

constexpr std::uint32_t damage_reach_records = 16;

enum class content_state : std::uint8_t { whole, torn, unreadable };

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
    if (auto found = decode_superblock(block); found && (!newest || found->serial > newest->serial))
      newest = found;
    else if (!found && looks_like_superblock(block))
      problem = "it is damaged";
  }
  if (newest || problem.empty()) return newest;
  return fail(errc::corrupt, "neither copy of the journal's superblock can be used: " + problem);
}

result<void> log_reader::write_superblock(superblock& wanted) {
  const aligned_memory memory = allocate_blocks(1);
  ++wanted.serial;
  encode(wanted, {memory.get(), block_bytes});
  for (std::uint64_t copy = 0; copy < superblock_copies; ++copy)
    if (auto done = loop_.write_now(handle_, {memory.get(), block_bytes}, copy * block_bytes); !done) return done;
  return {};
}

result<found_log> log_reader::walk(const superblock& super, bool thorough) {
  // What an earlier process left in caches must not be lost after more was written behind it.
  if (auto synced = loop_.sync_now(handle_); !synced) return tl::unexpected(synced.error());
  const slot slots = super.slots();
  window blocks(*this, slots, super.record_blocks);
  found_log found;
  log_position at = super.tail;
  const log_position tail = at;
  found.next_sequence = super.tail_sequence;
  found.last_life = super.tail_life;
  std::vector<content_state> contents;
  std::uint64_t acknowledged = 0;
  for (;;) {
    found.head = at;
    const log_position here = place_of_record(at, slots, super.record_blocks);
    if (here + super.record_blocks > tail + slots) break;
    const auto first = static_cast<slot>(here % slots);
    const auto header = decode_header(blocks.at(first, 1));
    if (!header && blocks.unreadable(first))
      return fail(errc::io, "a block of the journal cannot be read, at octet " + std::to_string(offset_of(first)));
    if (!header || header->id != super.id || header->sequence != found.next_sequence ||
        header->life_before != found.last_life || header->blocks() > super.record_blocks)
      break;
    const std::uint32_t data = header->data_blocks();
    const const_bytes content = blocks.at(first, 1 + data).subspan(block_bytes);
    auto state = content_state::whole;
    for (std::uint32_t i = 0; i < data && state != content_state::unreadable; ++i)
      if (wire::crc32c(content.subspan(i * block_bytes, block_bytes)) != header->entries[i].crc)
        state = blocks.unreadable(first + 1 + i) ? content_state::unreadable : content_state::torn;
    contents.push_back(state);
    found.records.push_back({here, header->sequence, header->life, header->blocks()});
    found.entries.insert(found.entries.end(), header->entries.begin(), header->entries.end());
    acknowledged = std::max(acknowledged, header->acknowledged);
    at = here + header->blocks();
    ++found.next_sequence;
    found.last_life = header->life;
  }
  // The first record that is not whole and that nobody was told of is the end.
  for (std::size_t i = 0; i < contents.size(); ++i) {
    if (contents[i] == content_state::whole || found.records[i].sequence <= acknowledged) continue;
    if (contents[i] == content_state::unreadable)
      return fail(errc::io, "a block of the journal's last records cannot be read");
    std::size_t kept = 0;
    for (std::size_t k = 0; k < i; ++k) kept += found.records[k].blocks - 1;
    found.next_sequence = found.records[i].sequence;
    found.last_life = i == 0 ? super.tail_life : found.records[i - 1].life;
    found.head = i == 0 ? tail : found.records[i - 1].position + found.records[i - 1].blocks;
    found.entries.resize(kept);
    found.records.resize(i);
    break;
  }
  if (auto looked = look_behind(super, found, tail, thorough, blocks); !looked) return tl::unexpected(looked.error());
  return found;
}

/// Whether a record behind the end of the log says that there should be more.
result<void> log_reader::look_behind(const superblock& super, found_log& found, log_position tail, bool thorough,
                                     window& blocks) {
  const slot slots = super.slots();
  const log_position end = tail + slots;
  const log_position reach = thorough ? end : found.head + std::uint64_t{damage_reach_records} * super.record_blocks;
  for (log_position at = found.head; at < std::min(end, reach); ++at) {
    const auto header = decode_header(blocks.at(static_cast<slot>(at % slots), 1));
    if (!header || header->id != super.id || header->sequence < found.next_sequence) continue;
    if (header->acknowledged >= found.next_sequence) found.damaged_from = found.next_sequence;
    found.stray_headers.push_back(static_cast<slot>(at % slots));
  }
  return {};
}

result<void> log_reader::wipe(const std::vector<slot>& headers) {
  const aligned_memory memory = allocate_blocks(1);
  std::memset(memory.get(), 0, block_bytes);
  for (const slot each : headers)
    if (auto done = loop_.write_now(handle_, {memory.get(), block_bytes}, offset_of(each)); !done) return done;
  return {};
}

}  // namespace sluice::journal
