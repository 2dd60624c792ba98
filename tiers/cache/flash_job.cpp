#include <algorithm>

#include "actors/wire/crc.hpp"
#include "tiers/cache/cache_channel.hpp"

// What a request has to do with the flash.
//
// A read from flash is good when, after it, the index still names the same slot with the same checksum for each block,
// and the content has that checksum. A write takes its blocks out of the index before it goes below, and a slot that is
// written anew was taken out before: so a read that any of them overtook finds another slot or none, and goes below
// instead. Reads that fail never fail the request.
namespace sluice::cache {

using store::request;
using store::status;
using store::verb;

namespace {

constexpr std::uint64_t pieces_limit = memory::pool::largest / block_bytes;
constexpr std::uint64_t errors_limit = 100;  // reads that fail before the flash is given up
constexpr unsigned spoil_tries_limit = 32;

}  // namespace

// -- reads ----------------------------------------------------------------------------------------------------------

/// Whether RAM and flash together have all of it, and there is a buffer: a read partly from below would be no faster.
bool cache_job::look_on_flash(request& r) noexcept {
  flash_tier& flash = *tiers->flash;
  begin(r);
  if (!flash.ready() || !core().keeps() || last_ - first_ > pieces_limit) return false;
  core().take_fill_versions(first_, last_, fill_versions_);
  pieces_.clear();
  for (block_number block = first_; block < last_; ++block) {
    const place p(block);
    const ram_index& index = core().shard_of(p).index();
    if (index.find_valid(index.set_of(p), block) != no_slot) continue;
    const slot where = flash.index.find(block);
    if (where == no_slot) return false;
    pieces_.push_back({block, where, flash.crc_of(where)});
  }
  if (pieces_.empty()) return false;
  bounce_ = owner_.loop_.buffers().take(static_cast<std::uint32_t>(pieces_.size() * block_bytes));
  return !bounce_.empty();
}

routine cache_job::read_flash() noexcept {
  const std::uint64_t started_ns = owner_.loop_.now_ns();
  plan_flash_reads();
  co_await until(place_, [this] { submit_flash_reads(); });
  const bool good = !read_failed_ && check_pieces() && assemble();
  bounce_ = {};
  if (!good) {
    place_.let_go();
    read(*outer_, true);
    co_return;
  }
  count_flash_hit();
  owner_.keep(core(), first_, fill_versions_, offset_bytes, length_bytes, {parts, part_count}, ram_shard::keep::always);
  owner_.counted_.flash_hit.record(owner_.loop_.now_ns() - started_ns);
  finish(status::good);
}

/// Slots that follow each other by one read.
void cache_job::plan_flash_reads() noexcept {
  reads_planned_ = 0;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    if (i > 0 && pieces_[i].where == pieces_[i - 1].where + 1) {
      flash_reads_[reads_planned_ - 1]->part.iov_len += block_bytes;
      continue;
    }
    if (flash_reads_.size() == reads_planned_) flash_reads_.push_back(std::make_unique<flash_read>());
    flash_read& one = *flash_reads_[reads_planned_++];
    one.owner = this;
    one.first_piece = i;
    one.part = {bounce_.data() + i * block_bytes, block_bytes};
  }
}

void cache_job::submit_flash_reads() noexcept {
  flash_tier& flash = *tiers->flash;
  read_failed_ = false;
  reads_left_ = reads_planned_;
  for (std::size_t i = 0; i < reads_planned_; ++i) {
    flash_read& one = *flash_reads_[i];
    owner_.loop_.read(one, flash.handle, &one.part, 1, flash.offset_of(pieces_[one.first_piece].where));
  }
}

void cache_job::flash_read_ended(flash_read& one, std::int64_t result) noexcept {
  if (result != static_cast<std::int64_t>(one.part.iov_len)) {
    flash_tier& flash = *tiers->flash;
    read_failed_ = true;
    for (std::size_t i = 0; i < one.part.iov_len / block_bytes; ++i) {
      const piece& bad = pieces_[one.first_piece + i];
      flash.index.remove(bad.block, bad.where);
    }
    if (flash.read_errors.fetch_add(1, std::memory_order_relaxed) + 1 == errors_limit)
      flash.give_up(flash_tier::state::retired, "its reads fail");
  }
  if (--reads_left_ == 0) place_.resume();
}

void cache_job::count_flash_hit() noexcept {
  owner_.counted_.read_blocks.add(last_ - first_);
  owner_.counted_.flash_hit_blocks.add(pieces_.size());
  owner_.counted_.ram_hit_blocks.add(last_ - first_ - pieces_.size());
}

/// Whether all of it is what was written there, of blocks that are still there.
bool cache_job::check_pieces() noexcept {
  flash_tier& flash = *tiers->flash;
  bool good = true;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const auto [block, where, crc] = pieces_[i];
    if (flash.index.find(block) != where || flash.crc_of(where) != crc) {
      good = false;  // written meanwhile, or gave way
    } else if (wire::crc32c({bounce_.data() + i * block_bytes, block_bytes}) != crc) {
      flash.index.remove(block, where);
      // A segment that is being written anew was removed from the index before.
      flash.corrupt_blocks.fetch_add(1, std::memory_order_relaxed);
      good = false;
    }
  }
  return good;
}

/// Brings flash and RAM together in the request's buffers; false when RAM has let go of its part.
bool cache_job::assemble() noexcept {
  store::scatter to(outer_->parts, outer_->part_count);
  std::uint64_t at = outer_->offset_bytes;
  const std::uint64_t end = at + outer_->length_bytes;
  std::size_t next = 0;
  for (block_number block = first_; block < last_; ++block) {
    const std::uint64_t until = std::min(end, (block + 1) * block_bytes);
    if (next < pieces_.size() && pieces_[next].block == block) {
      to.fill(bounce_.data() + next * block_bytes + at % block_bytes, until - at);
      at = until;
      ++next;
      continue;
    }
    const place p(block);
    ram_shard& shard = core().shard_of(p);
    const slot s = shard.index().find_valid(shard.index().set_of(p), block);
    const std::uint64_t version = s == no_slot ? 0 : shard.index().open(s, block);
    if (version == 0) return false;
    while (at < until) {
      const bytes part = to.next(until - at);
      SLUICE_CHECK(!part.empty());
      shard.index().copy(s, at % block_bytes, part.data(), part.size(), core().owner_of(p) == &owner_.loop_);
      at += part.size();
    }
    if (!shard.index().still(s, version)) return false;
    shard.hit(s);
  }
  return true;
}

// -- writes ---------------------------------------------------------------------------------------------------------

/// Makes durable that what flash holds of the regions is void, where that is not so; then the write may go below. The
/// state is looked at anew after every wait, for any core may change it.
subroutine<> cache_job::void_regions() noexcept {
  flash_tier& flash = *tiers->flash;
  std::uint64_t region = flash.region_of(first_);
  const std::uint64_t end = std::min(flash.region_of(last_ - 1) + 1, flash.layout.regions());
  for (;;) {
    if (flash.claim_spoiling()) {
      co_await spoil_superblock();
    } else if (flash.writes_wait()) {
      co_await flash_to_change();
    } else if (flash.now() == flash_tier::state::failed) {
      break;
    } else if (flash.now() <= flash_tier::state::retired) {
      while (region < end && !flash.must_void(region)) ++region;
      if (region == end) break;
      co_await void_page_of(region, end);
    }
  }
  bounce_ = {};
}

/// Writes the page of the region table that has the region, or waits for whoever does.
subroutine<> cache_job::void_page_of(std::uint64_t region, std::uint64_t end) noexcept {
  flash_tier& flash = *tiers->flash;
  if (bounce_.empty()) bounce_ = owner_.loop_.buffers().take(block_bytes);
  const std::uint64_t page = region / flash::region_page_entries;
  const std::uint64_t page_end = std::min(end, (page + 1) * flash::region_page_entries);
  for (std::uint64_t each = region; each < page_end; ++each) flash.want_void(each);
  if (bounce_.empty() || !flash.take_page(page)) {
    co_await flash_to_change();
    co_return;
  }
  flash.page_image(page, {bounce_.data(), block_bytes});
  co_await flash_write(flash.base_bytes + (1 + page) * block_bytes, bounce_.data());
  if (write_result_ == static_cast<std::int64_t>(block_bytes)) {
    flash.page_written({bounce_.data(), block_bytes}, page);
  } else {
    flash.drop_page(page);
    flash.give_up(flash_tier::state::spoilt, "its region table cannot be written");
  }
}

/// What the flash holds must not be taken for true after a restart: without a superblock it is not. When it cannot even
/// be wiped, the medium notes that it is told of nothing any more, before anything passes it by.
subroutine<> cache_job::spoil_superblock() noexcept {
  flash_tier& flash = *tiers->flash;
  for (unsigned tries = 0; tries < spoil_tries_limit; ++tries) {
    co_await flash_write(flash.base_bytes, flash_tier::no_superblock().data());
    if (write_result_ != static_cast<std::int64_t>(block_bytes)) continue;
    flash.give_up(flash_tier::state::failed, "it is wiped");
    co_return;
  }
  bool told = false;
  co_await until(place_, [this, &flash, &told] {
    flash.binding->forget_off_loop([this, &told, &loop = owner_.loop_](bool it_was) {
      loop.post([this, &told, it_was] {
        told = it_was;
        place_.resume();
      });
    });
  });
  if (!told) flash.set_stale();
  flash.give_up(flash_tier::state::failed, "it cannot even be wiped");
}

/// Before a write is answered: what the store below may still lose of it.
void cache_job::mark_unflushed(status outcome) noexcept {
  flash_tier* const flash = tiers->flash;
  if (!flash || !core().volatile_below() || (outer_->fua && outcome == status::good)) return;
  const std::uint64_t end = std::min(flash->region_of(last_ - 1) + 1, flash->layout.regions());
  for (std::uint64_t region = flash->region_of(first_); region < end; ++region) flash->unflushed(region);
}

}  // namespace sluice::cache
