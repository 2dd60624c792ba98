#include "tiers/journal/offline.hpp"

#include <algorithm>
#include <cstring>

namespace sluice::journal {
namespace {

constexpr std::uint64_t record_limit = std::uint64_t{1} << 32;  // that a log can hold: slots have 32 bits

result<superblock> superblock_of(log_reader& reader) {
  const auto found = reader.read_superblock();
  if (!found) return fail(found.error().code, found.error().message + ": remove the file, or wipe the device");
  if (!*found) return fail(errc::not_found, "there is no journal");
  return **found;
}

/// A cache that lies behind the journal may hold what is given up: without its superblock it begins anew.
result<void> forget_cache(reactor::loop& control_loop, reactor::handle opened, const superblock& super) {
  const auto info = control_loop.info(opened);
  if (!info) return tl::unexpected(info.error());
  if (info->size_bytes < super.journal_bytes + block_bytes) return {};
  const aligned_memory zeroes = allocate_blocks(1);
  std::memset(zeroes.get(), 0, block_bytes);
  return control_loop.write_now(opened, {zeroes.get(), block_bytes}, super.journal_bytes);
}

/// A file that was cut short would not be opened.
result<void> grow_to_its_size(reactor::loop& control_loop, reactor::handle opened, const superblock& super) {
  const auto info = control_loop.info(opened);
  if (!info) return tl::unexpected(info.error());
  if (info->is_block_device || info->size_bytes >= super.journal_bytes) return {};
  return control_loop.resize_file(opened, super.journal_bytes);
}

}  // namespace

result<inspection> inspect(reactor::loop& control_loop, reactor::handle opened) {
  log_reader reader(control_loop, opened);
  const auto super = superblock_of(reader);
  if (!super) return tl::unexpected(super.error());
  const auto log = reader.walk(*super, true);
  if (!log) return tl::unexpected(log.error());
  inspection seen;
  seen.super = *super;
  seen.records = log->records.size();
  seen.damaged_from = log->damaged_from;
  std::vector<block_number> blocks;
  for (const record_header::entry& each : log->entries) blocks.push_back(each.block);
  std::sort(blocks.begin(), blocks.end());
  const auto distinct = std::unique(blocks.begin(), blocks.end()) - blocks.begin();
  seen.dirty_bytes = static_cast<std::uint64_t>(distinct) * block_bytes;
  for (const block_range& each : super->lost) seen.lost_bytes += std::uint64_t{each.count} * block_bytes;
  return seen;
}

result<void> resolve(reactor::loop& control_loop, reactor::handle opened, decision how) {
  log_reader reader(control_loop, opened);
  auto super = superblock_of(reader);
  if (!super) return tl::unexpected(super.error());
  if (auto whole = grow_to_its_size(control_loop, opened, *super); !whole) return whole;
  const auto log = reader.walk(*super, true);
  if (how == decision::keep) {
    if (!log) return tl::unexpected(log.error());
    if (log->damaged_from != 0)
      if (auto forgotten = forget_cache(control_loop, opened, *super); !forgotten) return forgotten;
    // Nothing says any more that there was something behind the damage.
    if (auto wiped = reader.wipe(log->stray_headers); !wiped) return wiped;
    super->acknowledged = log->next_sequence - 1;
    super->adopted = true;
    return reader.write_superblock(*super);
  }
  if (auto forgotten = forget_cache(control_loop, opened, *super); !forgotten) return forgotten;
  // Where the log begins anew, it can be read.
  if (!log)
    if (auto wiped = reader.wipe({0}); !wiped) return wiped;
  super->tail = 0;
  super->tail_sequence = (log ? log->next_sequence : super->tail_sequence + record_limit) + void_margin;
  super->tail_life = control_loop.random() | 1;
  super->acknowledged = super->tail_sequence - 1;
  super->lost.clear();
  return reader.write_superblock(*super);
}

}  // namespace sluice::journal
