#include <algorithm>

#include "tiers/cache/cache_channel.hpp"

// A write through the tiers, and why in this order:
//
//   1. its blocks are marked in RAM, which makes void what is cached of them and what any core is just reading to keep;
//   2. flash says, durably, that it has nothing of their regions: a crash from here on finds no block there that is
//   older
//      than what may be below;
//   3. the store below writes; until it answers nobody can say which content the blocks have, so nobody keeps any;
//   4. what a volatile store below may still lose is noted before the write is answered: flash takes none of it until a
//      flush has made it durable;
//   5. the marks end, and only a version from in between counts: the write's own content is kept, unless another write
//   of
//      the same blocks was under way with it.
namespace sluice::cache {

using store::request;
using store::status;
using store::verb;

namespace {

constexpr std::uint64_t fill_versions_limit = 1024;  // longer requests are not kept
constexpr std::uint64_t marks_per_turn = 16384;      // about 200 us

}  // namespace

void cache_job::begin(request& r) noexcept {
  outer_ = &r;
  ask_as(r);
  first_ = r.offset_bytes / block_bytes;
  last_ = (r.offset_bytes + r.length_bytes + block_bytes - 1) / block_bytes;
  fill_versions_.clear();
}

void cache_job::finish(status outcome) noexcept {
  request& r = *std::exchange(outer_, nullptr);
  r.answer_as(*this);
  edges_ = {};
  place_.let_go();
  owner_.give_back(*this);
  r.done(outcome);
}

// -- reads ----------------------------------------------------------------------------------------------------------

void cache_job::read(request& r, bool keeps) noexcept {
  begin(r);
  reading_ = true;
  started_ns_ = owner_.sample_miss();
  owner_.counted_.read_blocks.add(last_ - first_);
  if (keeps && last_ - first_ <= fill_versions_limit) {
    core().take_fill_versions(first_, last_, fill_versions_);
    widen();
  }
  tiers->below->submit(*this);
}

/// The versions that keep() checks are from before the read began: what was written meanwhile is not kept.
void cache_job::read_ended(status outcome) noexcept {
  if (outcome != status::good && !edges_.empty()) {
    // What failed may be what nobody asked for.
    edges_ = {};
    fill_versions_.clear();
    ask_as(*outer_);
    return tiers->below->submit(*this);
  }
  reading_ = false;
  if (outcome == status::good && !fill_versions_.empty())
    owner_.keep(core(), first_, fill_versions_, offset_bytes, length_bytes, {parts, part_count},
                ram_shard::keep::always);
  if (started_ns_ != 0) owner_.counted_.miss.record(owner_.loop_.now_ns() - started_ns_);
  finish(outcome);
}

/// Reads whole blocks where only parts were asked for: a part can't be kept.
void cache_job::widen() noexcept {
  const std::uint64_t lead = offset_bytes % block_bytes;
  std::uint64_t tail = -(offset_bytes + length_bytes) % block_bytes;
  if (last_ > core().whole_blocks()) tail = 0;
  if (lead == 0 && tail == 0) return;
  edges_ = owner_.loop_.buffers().take(2 * block_bytes);
  if (edges_.empty()) return;
  wide_parts_.clear();
  if (lead != 0) wide_parts_.push_back({edges_.data(), lead});
  wide_parts_.insert(wide_parts_.end(), outer_->parts, outer_->parts + outer_->part_count);
  if (tail != 0) wide_parts_.push_back({edges_.data() + block_bytes, tail});
  offset_bytes -= lead;
  length_bytes += lead + tail;
  parts = wide_parts_.data();
  part_count = static_cast<unsigned>(wide_parts_.size());
}

// -- writes ---------------------------------------------------------------------------------------------------------

routine cache_job::write(request& r, after_write how) noexcept {
  begin(r);
  // Until it is known what lies on flash, nobody can say that a block does not.
  while (tiers->flash && tiers->flash->writes_wait()) co_await flash_to_change();
  const bool at_once = last_ - first_ <= fill_versions_limit;
  if (at_once) {
    core().begin_blocks(first_, last_, &fill_versions_);
  } else {
    co_await mark_piecemeal(true);
  }
  if (tiers->flash) co_await void_regions();
  co_await below_to_answer();
  const status outcome = below_said_;
  mark_unflushed(outcome);
  if (at_once) {
    core().end_blocks(first_, last_, &fill_versions_);
    if (outcome == status::good && how != after_write::forget)
      owner_.keep(core(), first_, fill_versions_, offset_bytes, length_bytes, {parts, part_count},
                  how == after_write::keep ? ram_shard::keep::always : ram_shard::keep::if_there);
  } else {
    co_await mark_piecemeal(false);
  }
  finish(outcome);
}

/// Says of more blocks than one turn has time for that a write to them begins, or has ended: of each block, or of all
/// sets when those are fewer.
subroutine<> cache_job::mark_piecemeal(bool begins) noexcept {
  const std::uint64_t ram_sets = core().set_count();
  const std::uint64_t flash_sets = tiers->flash && begins ? tiers->flash->index.sets() : 0;
  const bool by_sets = last_ - first_ > ram_sets;
  const std::uint64_t all = by_sets ? ram_sets + flash_sets : last_ - first_;
  for (std::uint64_t marked = 0;;) {
    const std::uint64_t until = owner_.closing_ ? all : std::min(all, marked + marks_per_turn);
    if (by_sets) {
      const std::uint64_t ram_until = std::min(until, ram_sets);
      if (!begins) {
        core().end_write_in_sets(marked, until);
      } else if (marked < ram_until) {
        core().begin_write_in_sets(marked, ram_until, first_, last_);
      }
      if (begins && until > ram_sets)
        tiers->flash->index.remove_in_sets(std::max(marked, ram_sets) - ram_sets, until - ram_sets, first_, last_);
    } else if (begins) {
      core().begin_blocks(first_ + marked, first_ + until, nullptr);
    } else {
      core().end_blocks(first_ + marked, first_ + until, nullptr);
    }
    marked = until;
    if (marked >= all) co_return;
    co_await next_turn();
  }
}

// -- all else -------------------------------------------------------------------------------------------------------

/// A flush covers what was acknowledged before it began: its number is taken before it goes below.
routine cache_job::pass(request& r) noexcept {
  begin(r);
  const std::uint64_t flush = tiers->flash && r.what == verb::flush ? tiers->flash->flush_begins() : 0;
  co_await below_to_answer();
  if (flush != 0 && below_said_ == status::good) tiers->flash->flush_ended(flush);
  finish(below_said_);
}

}  // namespace sluice::cache
