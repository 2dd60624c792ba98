#include "tiers/cache/flash/flash_tier.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "actors/observe/log.hpp"
#include "tiers/journal/journal_store.hpp"

namespace sluice::cache {
namespace {

std::uint64_t journal_bytes_of(const flash_options& wanted, std::uint64_t flash_bytes) {
  if (!wanted.journals) return 0;
  const std::uint64_t bytes = wanted.dirty_bytes ? wanted.dirty_bytes : std::max(16 * mib, flash_bytes / 8);
  return bytes / block_bytes * block_bytes;
}

/// A process that was killed holds its files until the kernel is through with the writes that it had under way.
result<reactor::handle> open_when_free(reactor::loop& control_loop, const std::string& path,
                                       const reactor::open_flags& flags) {
  constexpr std::chrono::milliseconds pause{20};
  constexpr unsigned tries = 100;
  auto opened = control_loop.open_file(path, flags);
  for (unsigned i = 0; i < tries && !opened && opened.error().code == errc::busy; ++i) {
    std::this_thread::sleep_for(pause);
    opened = control_loop.open_file(path, flags);
  }
  return opened;
}

}  // namespace

result<std::shared_ptr<flash_tier>> flash_tier::open(const flash_options& wanted, std::uint64_t store_bytes,
                                                     reactor::loop& control_loop,
                                                     std::shared_ptr<flash_binding> binding,
                                                     const result<void>& may_change) {
  reactor::open_flags flags{.direct = true, .exclusive = true};
  auto opened = open_when_free(control_loop, wanted.path, flags);
  if (!opened && opened.error().code == errc::not_found && wanted.size_bytes != 0) {
    flags.create = true;
    opened = control_loop.open_file(wanted.path, flags);
  }
  if (!opened && opened.error().code == errc::busy)
    return sluice::fail(errc::busy, "flash.path: " + wanted.path + " is in use: another gateway or program holds it");
  if (!opened && opened.error().code == errc::invalid_argument)
    return sluice::fail(errc::invalid_argument, "flash.path: " + opened.error().message +
                                                    ": flash needs direct I/O, which this file system does not have; "
                                                    "use a block device, or a file on ext4 or XFS");
  if (!opened) return sluice::fail(opened.error().code, "flash.path: " + opened.error().message);
  auto file = std::make_shared<flash_file>(control_loop, *opened, wanted.path);
  const auto info = control_loop.info(*opened);
  if (!info) return sluice::fail(info.error().code, "flash.path: " + info.error().message);
  // Before anything of the file is changed: it may hold what was written and is nowhere else.
  const std::uint64_t journal = journal_bytes_of(wanted, wanted.size_bytes ? wanted.size_bytes : info->size_bytes);
  if (auto usable = journal::check_use(control_loop, *opened, wanted.path, journal); !usable)
    return tl::unexpected(usable.error());
  if (!may_change) return tl::unexpected(may_change.error());
  return over(std::move(file), wanted, store_bytes, true, std::move(binding));
}

result<void> flash_tier::forget_journal() {
  if (base_bytes != 0) return {};
  return journal::log_reader(file->control_loop, handle).forget_superblock();
}

result<std::shared_ptr<flash_tier>> flash_tier::successor(const flash_options& wanted,
                                                          std::uint64_t store_bytes) const {
  return over(file, wanted, store_bytes, false, binding);
}

result<std::shared_ptr<flash_tier>> flash_tier::over(std::shared_ptr<const flash_file> file,
                                                     const flash_options& wanted, std::uint64_t store_bytes,
                                                     bool resizes_now, std::shared_ptr<flash_binding> binding) {
  auto info = file->control_loop.info(file->handle);
  if (!info) return sluice::fail(info.error().code, "flash.path: " + info.error().message);
  const std::uint64_t base_bytes = journal_bytes_of(wanted, wanted.size_bytes ? wanted.size_bytes : info->size_bytes);
  std::uint64_t resize_to = 0;
  if (!info->is_block_device && wanted.size_bytes != 0 && info->size_bytes != wanted.size_bytes) {
    info->size_bytes = resize_to = wanted.size_bytes;
    if (resizes_now) {
      if (auto sized = file->control_loop.resize_file(file->handle, std::exchange(resize_to, 0)); !sized)
        return sluice::fail(sized.error().code, "flash.size: " + sized.error().message);
    }
  }
  if (info->logical_block > block_bytes)
    return sluice::fail(errc::invalid_argument, "flash.path: the device has blocks larger than 4 KiB");
  const std::uint64_t usable =
      wanted.size_bytes == 0 ? info->size_bytes : std::min(info->size_bytes, wanted.size_bytes);
  const auto layout = flash::lay_out(0, usable > base_bytes ? usable - base_bytes : 0, store_bytes,
                                     wanted.segment_blocks, wanted.region_blocks);
  if (!layout)
    return sluice::fail(errc::invalid_argument, "flash: too small: it must hold at least two segments of " +
                                                    std::to_string(wanted.segment_blocks * block_bytes / kib) +
                                                    " KiB behind its tables" +
                                                    (wanted.journals ? " and what flash.dirty takes" : ""));
  if (layout->segments() * layout->segment_blocks >= flash_index::max_slots ||
      store_bytes / block_bytes >= flash_index::max_blocks)
    return sluice::fail(errc::invalid_argument, "flash: at most 1 TiB, over a store of at most 256 TiB");
  return std::make_shared<flash_tier>(std::move(file), *layout, base_bytes, resize_to, std::move(binding));
}

/// As many slots as there can be, however large the tables are: a layout found on flash may have smaller ones.
static std::uint64_t slot_limit(const flash::superblock& layout) {
  return (layout.flash_bytes / block_bytes / layout.segment_blocks + 1) * layout.segment_blocks;
}

flash_tier::flash_tier(std::shared_ptr<const flash_file> opened, const flash::superblock& wanted, std::uint64_t base,
                       std::uint64_t resize_to, std::shared_ptr<flash_binding> kept_by)
    : file(std::move(opened)),
      handle(file->handle),
      path(file->path),
      base_bytes(base),
      layout(wanted),
      binding(std::move(kept_by)),
      index(wanted.segments() * wanted.segment_blocks),
      resize_to_(resize_to),
      crcs_(slot_limit(wanted)),
      blocks_(slot_limit(wanted)),
      segment_sequences_(slot_limit(wanted) / wanted.segment_blocks),
      busy_segments_(slot_limit(wanted) / wanted.segment_blocks),
      newest_(wanted.regions()),
      wanted_(wanted.regions()),
      voided_(wanted.regions()),
      unflushed_(wanted.regions()),
      busy_pages_(wanted.region_pages) {}

bytes flash_tier::no_superblock() noexcept {
  alignas(block_bytes) static std::uint8_t page[block_bytes] = {};
  return {page, block_bytes};
}

result<void> flash_tier::confirm() {
  alignas(block_bytes) std::uint8_t block[block_bytes];
  const bytes octets{block, block_bytes};
  // What cannot be read is looked at again later; until then it is nothing.
  const auto read = file->control_loop.read_now(handle, octets, base_bytes);
  const auto found = read && *read == block_bytes ? flash::decode_superblock(octets) : std::nullopt;
  const std::uint64_t id = found ? found->id : 0;
  const auto confirmed = binding->confirm(id);
  if (!confirmed) return tl::unexpected(confirmed.error());
  believed_id_ = *confirmed ? id : 0;
  return {};
}

result<void> flash_tier::begin_anew() {
  if (resize_to_ != 0)
    if (auto sized = file->control_loop.resize_file(handle, resize_to_); !sized) return sized;
  if (auto gone = forget_journal(); !gone) return gone;
  return file->control_loop.write_now(handle, no_superblock(), base_bytes);
}

void flash_tier::take_away() noexcept {
  const auto wiped = file->control_loop.write_now(handle, no_superblock(), base_bytes);
  const bool forgotten = binding->forget();
  if (!wiped && !forgotten)
    SLUICE_LOG(error, "cache", "flash cannot be wiped; do so before it is used for this store again", {"path", path},
               {"why", wiped.error().message});
  if (wiped && now() == state::unknown) return;
  if (raise_state(state::failed)) index.remove_in_sets(0, index.sets(), 0, UINT64_MAX);
}

/// States are in the order in which they may follow each other, so that a state is never taken back: who loses the
/// race finds one that is higher, which is as good. The caller that raised it does what the state asks for, once.
bool flash_tier::raise_state(state to) noexcept {
  state before = now();
  while (before < to && !state_.compare_exchange_weak(before, to)) {
  }
  return before < to;
}

void flash_tier::give_up(state to, const std::string& why) noexcept {
  if (!raise_state(to)) return;
  // After the state, so that no core adds to the index what it took for ready: flash_writer looks at the state again
  // behind its insert.
  index.remove_in_sets(0, index.sets(), 0, UINT64_MAX);
  const std::lock_guard lock(guard_);
  if (!why_failed_.empty()) return;
  why_failed_ = why;
  SLUICE_LOG(error, "cache", "flash failed; the cache goes on without it", {"path", path}, {"why", why});
}

void flash_tier::segment_went(bool good) noexcept {
  constexpr unsigned patience = 4;
  if (good) {
    failed_segments_.store(0, std::memory_order_relaxed);
  } else if (failed_segments_.fetch_add(1, std::memory_order_relaxed) + 1 == patience) {
    give_up(state::retired, "segments cannot be written");
  }
}

std::string flash_tier::health() const {
  const std::lock_guard lock(guard_);
  if (why_failed_.empty()) return "good";
  return "flash " + path + " failed (" + why_failed_ + "): the cache goes on without it" +
         (stale_.load(std::memory_order_acquire)
              ? "; replace or wipe it before the gateway starts anew: it holds blocks that are void"
              : "");
}

std::uint64_t flash_tier::take_segment() noexcept {
  const std::uint64_t all = layout.segments();
  for (std::uint64_t tries = 0; tries < all; ++tries) {
    const std::uint64_t segment = next_segment_.fetch_add(1, std::memory_order_seq_cst) % all;
    // The acquire sees all that its last writer did to the segment; blocks_ are this core's from here on.
    if (busy_segments_[segment].exchange(1, std::memory_order_acq_rel) != 0) continue;
    const auto first = static_cast<slot>(segment * layout.segment_blocks);
    for (slot s = first; s < first + layout.segment_blocks; ++s)
      // Removed before a byte of the segment changes. A reader that found the slot earlier sees that the block is
      // gone when its read has ended (check_pieces), or a checksum that does not fit.
      if (const std::uint64_t block = blocks_[s].exchange(0, std::memory_order_acq_rel); block != 0)
        index.remove(block - 1, s);
    return segment;
  }
  return UINT64_MAX;
}

/// The image takes what all cores want by now: one write serves whoever waits for the page.
void flash_tier::page_image(std::uint64_t page, bytes to) const {
  flash::region_page made{layout.id, page, {}};
  for (std::uint64_t i = 0; i < flash::region_page_entries; ++i)
    made.void_up_to.push_back(wanted_[page * flash::region_page_entries + i].load(std::memory_order_seq_cst));
  flash::encode(made, to);
}

void flash_tier::page_written(const_bytes image, std::uint64_t page) noexcept {
  if (const auto made = flash::decode_region_page(image))
    for (std::uint64_t i = 0; i < flash::region_page_entries; ++i)
      // From the image, not from wanted_, which may be higher by now: only what is durable counts.
      raise(voided_[page * flash::region_page_entries + i], made->void_up_to[i]);
  voids.fetch_add(1, std::memory_order_relaxed);
  drop_page(page);
}

std::uint64_t flash_tier::memory_bytes() const noexcept {
  return index.memory_bytes() + crcs_.bytes() + blocks_.bytes() + segment_sequences_.bytes() + busy_segments_.bytes() +
         newest_.bytes() + wanted_.bytes() + voided_.bytes() + unflushed_.bytes() + busy_pages_.bytes();
}

}  // namespace sluice::cache
