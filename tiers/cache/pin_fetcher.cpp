#include "tiers/cache/pin_fetcher.hpp"

#include <algorithm>
#include <utility>

#include "tiers/cache/cache_channel.hpp"

namespace sluice::cache {
namespace {

constexpr std::uint64_t between_fetches_ns = 2 * ns_per_ms;  // 64 MiB/s
constexpr std::uint64_t between_walks_ns = 1 * ns_per_s;
constexpr unsigned extents_per_turn = 128;  // about 100 us

}  // namespace

pin_fetcher::~pin_fetcher() {
  if (timer_.armed()) owner_.loop_.disarm(timer_);
}

void pin_fetcher::look() noexcept {
  if (!at_work() && !paused_ && owner_.core().pins()) again_in(0);
}

void pin_fetcher::again_in(std::uint64_t delay_ns) noexcept {
  if (!paused_) owner_.loop_.arm(timer_, delay_ns);
}

/// Walks over what is pinned, and fetches what is not there: at first, and whenever writes or faults have taken it out.
/// Slowly, for initiators come first.
void pin_fetcher::turn() noexcept {
  const auto pins = owner_.core().pins();
  if (!pins || at_work() || paused_) return;
  if (!owner_.core().keeps()) return again_in(between_walks_ns);
  for (unsigned looked = 0; looked < extents_per_turn; ++looked) {
    const auto extent = next_extent(*pins);
    if (!extent) {
      next_ = 0;
      return again_in(between_walks_ns);
    }
    const pin_set::range missing = missing_of(*extent);
    if (missing.first != missing.last) return fetch(missing);
  }
  again_in(ns_per_ms);
}

/// What of the ranges lies in the next extent that has some; moves on past it.
std::optional<pin_set::range> pin_fetcher::next_extent(const pin_set& pins) noexcept {
  const auto& ranges = pins.ranges();
  const auto in = std::upper_bound(ranges.begin(), ranges.end(), next_,
                                   [](block_number at, const pin_set::range& each) { return at < each.last; });
  if (in == ranges.end()) return std::nullopt;
  const block_number first = std::max(next_, in->first);
  const block_number end = std::min(in->last, owner_.core().whole_blocks());
  if (first >= end) return std::nullopt;
  next_ = std::min((first / extent_blocks + 1) * extent_blocks, end);
  return pin_set::range{first, next_};
}

/// From the first to the last block that is not in RAM, when it is for this loop to bring them there.
pin_set::range pin_fetcher::missing_of(const pin_set::range& extent) const noexcept {
  const cache_core& core = owner_.core();
  const place at(extent.first);
  const ram_shard& shard = core.shard_of(at);
  if (core.owner_of(at) != &owner_.loop_ || !shard.has_room_for_pins()) return {0, 0};
  const auto is_there = [&](block_number block) {
    return shard.index().find_valid(shard.index().set_of(place(block)), block) != no_slot;
  };
  pin_set::range missing = extent;
  while (missing.first != missing.last && is_there(missing.first)) ++missing.first;
  while (missing.first != missing.last && is_there(missing.last - 1)) --missing.last;
  return missing;
}

void pin_fetcher::fetch(const pin_set::range& blocks) noexcept {
  const std::uint64_t octets = (blocks.last - blocks.first) * block_bytes;
  buffer_ = owner_.loop_.buffers().take(static_cast<std::uint32_t>(octets));
  if (buffer_.empty()) {
    next_ = blocks.first;
    return again_in(between_walks_ns);
  }
  tiers_ = owner_.tiers_.get();
  ++tiers_->jobs;
  tiers_->core->take_fill_versions(blocks.first, blocks.last, fill_versions_);
  first_ = blocks.first;
  part_ = {buffer_.data(), octets};
  what = store::verb::read;
  offset_bytes = first_ * block_bytes;
  length_bytes = octets;
  parts = &part_;
  part_count = 1;
  tiers_->below->submit(*this);
}

void pin_fetcher::done(store::status outcome) noexcept {
  if (outcome == store::status::good)
    owner_.keep(*tiers_->core, first_, fill_versions_, offset_bytes, length_bytes, {parts, part_count},
                ram_shard::keep::always);
  buffer_ = {};
  --std::exchange(tiers_, nullptr)->jobs;
  again_in(between_fetches_ns);
}

}  // namespace sluice::cache
