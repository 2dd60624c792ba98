#include <algorithm>

#include "tiers/cache/cache_channel.hpp"

namespace sluice::cache {

using store::request;
using store::status;
using store::verb;

namespace {

constexpr std::uint64_t tickets_limit = 1024;    // longer requests are not kept
constexpr std::uint64_t marks_per_turn = 16384;  // about 200 us

}  // namespace

// -- reads ----------------------------------------------------------------------------------------------------------

void cache_job::start_read(request& r, bool keeps) noexcept {
  outer_ = &r;
  phase_ = phase::reading;
  started_ns_ = owner_.sample_miss();
  ask_as(r);
  keeps_ = keeps;
  tickets_.clear();
  first_ = r.offset_bytes / block_bytes;
  last_ = (r.offset_bytes + r.length_bytes + block_bytes - 1) / block_bytes;
  owner_.counted_.read_blocks.add(last_ - first_);
  if (keeps_ && last_ - first_ <= tickets_limit) {
    core().take_tickets(first_, last_, tickets_);
    widen();
  }
  tiers->below->submit(*this);
}

/// Reads whole blocks where only parts were asked for: a part can't be kept.
void cache_job::widen() noexcept {
  const std::uint64_t lead = offset_bytes % block_bytes;
  std::uint64_t tail = -(offset_bytes + length_bytes) % block_bytes;
  if (last_ > core().whole_blocks()) tail = 0;
  if (lead == 0 && tail == 0) return;
  edges_ = owner_.home_.buffers().take(2 * block_bytes);
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

void cache_job::start_write(request& r, after_write how) noexcept {
  outer_ = &r;
  phase_ = phase::beginning;
  after_ = how;
  ask_as(r);
  tickets_.clear();
  first_ = r.offset_bytes / block_bytes;
  last_ = (r.offset_bytes + r.length_bytes + block_bytes - 1) / block_bytes;
  // Until it is known what lies on flash, nobody can say that a block does not.
  if (tiers->flash && tiers->flash->writes_wait()) {
    phase_ = phase::waiting;
    return owner_.wait_for_flash(*this);
  }
  begin_marks();
}

void cache_job::begin_marks() noexcept {
  phase_ = phase::beginning;
  region_ = tiers->flash ? tiers->flash->region_of(first_) : 0;
  whole_table_ = false;
  if (last_ - first_ <= tickets_limit) {
    core().begin_blocks(first_, last_, &tickets_);
    return tiers->flash ? void_regions() : send_write();
  }
  whole_table_ = last_ - first_ > core().set_count();
  marked_ = 0;
  go_on();
}

void cache_job::go_on() noexcept {
  if (phase_ == phase::waiting) {
    if (tiers->flash->writes_wait()) return owner_.wait_for_flash(*this);
    return begin_marks();
  }
  if (phase_ == phase::voiding) return void_regions();
  const bool begins = phase_ == phase::beginning;
  const std::uint64_t ram_sets = core().set_count();
  const std::uint64_t flash_sets = tiers->flash && begins ? tiers->flash->index.sets() : 0;
  const std::uint64_t all = whole_table_ ? ram_sets + flash_sets : last_ - first_;
  const std::uint64_t until = owner_.closing_ ? all : std::min(all, marked_ + marks_per_turn);
  if (whole_table_) {
    const std::uint64_t ram_until = std::min(until, ram_sets);
    if (!begins) {
      core().end_write_in_sets(marked_, until);
    } else if (marked_ < ram_until) {
      core().begin_write_in_sets(marked_, ram_until, first_, last_);
    }
    if (begins && until > ram_sets)
      tiers->flash->index.remove_in_sets(std::max(marked_, ram_sets) - ram_sets, until - ram_sets, first_, last_);
  } else if (begins) {
    core().begin_blocks(first_ + marked_, first_ + until, nullptr);
  } else {
    core().end_blocks(first_ + marked_, first_ + until, nullptr);
  }
  marked_ = until;
  if (marked_ < all) return owner_.step_later(*this);
  if (!begins) return finish();
  return tiers->flash ? void_regions() : send_write();
}

void cache_job::send_write() noexcept {
  phase_ = phase::writing;
  tiers->below->submit(*this);
}

// -- all else -------------------------------------------------------------------------------------------------------

void cache_job::start_pass(request& r) noexcept {
  outer_ = &r;
  phase_ = phase::passing;
  ask_as(r);
  flush_ = tiers->flash && r.what == verb::flush ? tiers->flash->flush_begins() : 0;
  tiers->below->submit(*this);
}

// -- the end --------------------------------------------------------------------------------------------------------

void cache_job::ended(status outcome) noexcept {
  outcome_ = outcome;
  if (phase_ == phase::passing) {
    if (flush_ != 0 && outcome == status::good) tiers->flash->flush_ended(flush_);
    return finish();
  }
  if (phase_ == phase::reading) {
    if (outcome != status::good && !edges_.empty()) {
      // What failed may be what nobody asked for.
      edges_ = {};
      tickets_.clear();
      ask_as(*outer_);
      return tiers->below->submit(*this);
    }
    if (outcome == status::good && !tickets_.empty())
      owner_.keep(core(), first_, tickets_, offset_bytes, length_bytes, {parts, part_count}, ram_shard::keep::always);
    if (started_ns_ != 0) owner_.counted_.miss.record(owner_.home_.now_ns() - started_ns_);
    return finish();
  }
  phase_ = phase::ending;
  mark_unflushed();
  if (tickets_.empty()) {
    marked_ = 0;
    return go_on();
  }
  core().end_blocks(first_, last_, &tickets_);
  if (outcome == status::good && after_ != after_write::forget)
    owner_.keep(core(), first_, tickets_, offset_bytes, length_bytes, {parts, part_count},
                after_ == after_write::keep ? ram_shard::keep::always : ram_shard::keep::if_there);
  finish();
}

void cache_job::finish() noexcept {
  request& r = *std::exchange(outer_, nullptr);
  r.miscompare_offset = miscompare_offset;
  r.failed_offset = failed_offset;
  edges_ = {};
  const status outcome = outcome_;
  owner_.give_back(*this);
  r.done(outcome);
}

}  // namespace sluice::cache
