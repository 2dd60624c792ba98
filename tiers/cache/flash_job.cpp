#include <algorithm>

#include "actors/wire/crc.hpp"
#include "tiers/cache/cache_channel.hpp"

// What a request has to do with the flash.
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

bool cache_job::start_flash_read(request& r) noexcept {
  flash_tier& flash = *tiers->flash;
  first_ = r.offset_bytes / block_bytes;
  last_ = (r.offset_bytes + r.length_bytes + block_bytes - 1) / block_bytes;
  if (!flash.ready() || !core().keeps() || last_ - first_ > pieces_limit) return false;
  core().take_tickets(first_, last_, tickets_);
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
  bounce_ = owner_.home_.buffers().take(static_cast<std::uint32_t>(pieces_.size() * block_bytes));
  if (bounce_.empty()) return false;
  outer_ = &r;
  started_ns_ = owner_.home_.now_ns();
  read_failed_ = false;
  reads_left_ = 0;
  std::size_t runs = 0;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    if (i > 0 && pieces_[i].where == pieces_[i - 1].where + 1) {
      flash_reads_[runs - 1]->part.iov_len += block_bytes;
      continue;
    }
    if (flash_reads_.size() == runs) flash_reads_.push_back(std::make_unique<flash_read>());
    flash_read& one = *flash_reads_[runs++];
    one.owner = this;
    one.first_piece = i;
    one.part = {bounce_.data() + i * block_bytes, block_bytes};
  }
  reads_left_ = runs;
  for (std::size_t i = 0; i < runs; ++i) {
    flash_read& one = *flash_reads_[i];
    owner_.home_.read(one, flash.handle, &one.part, 1, flash.offset_of(pieces_[one.first_piece].where));
  }
  return true;
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
  if (--reads_left_ == 0) flash_reads_ended();
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
      shard.index().copy(s, at % block_bytes, part.data(), part.size(), core().home_of(p) == &owner_.home_);
      at += part.size();
    }
    if (!shard.index().still(s, version)) return false;
    shard.hit(s);
  }
  return true;
}

void cache_job::flash_reads_ended() noexcept {
  const bool good = !read_failed_ && check_pieces() && assemble();
  if (!good) {
    bounce_ = {};
    return start_read(*outer_, true);
  }
  owner_.counted_.read_blocks.add(last_ - first_);
  owner_.counted_.flash_hit_blocks.add(pieces_.size());
  owner_.counted_.ram_hit_blocks.add(last_ - first_ - pieces_.size());
  owner_.keep(core(), first_, tickets_, outer_->offset_bytes, outer_->length_bytes, {outer_->parts, outer_->part_count},
              ram_shard::keep::always);
  owner_.counted_.flash_hit.record(owner_.home_.now_ns() - started_ns_);
  bounce_ = {};
  outcome_ = status::good;
  finish();
}

// -- writes ---------------------------------------------------------------------------------------------------------

/// Makes durable that what flash holds of the regions is void, where that is not so; then the write may go below.
void cache_job::void_regions() noexcept {
  flash_tier& flash = *tiers->flash;
  phase_ = phase::voiding;
  const std::uint64_t end = std::min(flash.region_of(last_ - 1) + 1, flash.layout.regions());
  if (flash.claim_spoiling()) {
    spoil_tries_ = 0;
    return spoil_superblock();
  }
  for (; region_ < end && !flash.writes_wait() && flash.now() <= flash_tier::state::retired; ++region_) {
    if (!flash.must_void(region_)) continue;
    if (bounce_.empty()) bounce_ = owner_.home_.buffers().take(block_bytes);
    page_ = region_ / flash::region_page_entries;
    const std::uint64_t page_end = std::min(end, (page_ + 1) * flash::region_page_entries);
    for (std::uint64_t r = region_; r < page_end; ++r) flash.want_void(r);
    if (bounce_.empty() || !flash.take_page(page_)) return owner_.wait_for_flash(*this);
    flash.page_image(page_, {bounce_.data(), block_bytes});
    page_part_ = {bounce_.data(), block_bytes};
    return owner_.home_.write(page_write_, flash.handle, &page_part_, 1, flash.base_bytes + (1 + page_) * block_bytes,
                              true);
  }
  if (flash.writes_wait()) return owner_.wait_for_flash(*this);
  bounce_ = {};
  send_write();
}

/// What the flash holds must not be taken for true after a restart: without a superblock it is not.
void cache_job::spoil_superblock() noexcept {
  spoils_superblock_ = true;
  page_part_ = {flash_tier::no_superblock().data(), block_bytes};
  owner_.home_.write(page_write_, tiers->flash->handle, &page_part_, 1, tiers->flash->base_bytes, true);
}

void cache_job::page_written(std::int64_t result) noexcept {
  flash_tier& flash = *tiers->flash;
  const bool good = result == static_cast<std::int64_t>(block_bytes);
  if (std::exchange(spoils_superblock_, false)) {
    if (!good && ++spoil_tries_ < spoil_tries_limit) return spoil_superblock();
    if (!good) return disown_flash();
    flash.give_up(flash_tier::state::failed, "it is wiped");
  } else if (good) {
    flash.page_written({bounce_.data(), block_bytes}, page_);
  } else {
    flash.drop_page(page_);
    flash.give_up(flash_tier::state::spoilt, "its region table cannot be written");
  }
  void_regions();
}

/// It cannot even be wiped: the medium notes that it is told of nothing any more, before anything passes it by.
void cache_job::disown_flash() noexcept {
  tiers->flash->witness->forget_aside(
      [this, &home = owner_.home_](bool told) { home.post([this, told] { disowned(told); }); });
}

void cache_job::disowned(bool told) noexcept {
  if (!told) tiers->flash->set_stale();
  tiers->flash->give_up(flash_tier::state::failed, "it cannot even be wiped");
  void_regions();
}

/// Before a write is answered: what the store below may still lose of it.
void cache_job::mark_unflushed() noexcept {
  flash_tier* const flash = tiers->flash;
  if (!flash || !core().volatile_below() || (outer_->fua && outcome_ == status::good)) return;
  const std::uint64_t end = std::min(flash->region_of(last_ - 1) + 1, flash->layout.regions());
  for (std::uint64_t region = flash->region_of(first_); region < end; ++region) flash->unflushed(region);
}

}  // namespace sluice::cache
