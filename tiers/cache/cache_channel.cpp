#include "tiers/cache/cache_channel.hpp"

#include <algorithm>
#include <utility>

#include "tiers/cache/blocks_of.hpp"

namespace sluice::cache {

using store::request;
using store::status;
using store::verb;

namespace {

constexpr unsigned turned_down_limit = 16;
constexpr std::uint64_t hits_per_sample = 64;
constexpr std::uint64_t misses_per_sample = 8;

}  // namespace

cache_channel::cache_channel(std::shared_ptr<generation_switch> generations, reactor::loop& loop)
    : generations_(std::move(generations)), loop_(loop), scrap_(new std::uint8_t[block_bytes]) {
  std::shared_ptr<cache_core> first = generations_->join(*this, loop_, counted_);
  std::shared_ptr<store::channel> below = first->over().below->attach(loop_);
  tiers_ = std::make_unique<generation_ref>(std::move(first), std::move(below), loop_);
  below_acts_now_ = tiers_->flash == nullptr;
  pins_.look();
}

cache_channel::~cache_channel() {
  closing_ = true;
  // They may answer what they still hold.
  for (const auto& each : old_tiers_) each->below.reset();
  tiers_->below.reset();
  SLUICE_CHECK(!run_later_.queued_);
  if (look_timer_.armed()) loop_.disarm(look_timer_);
  std::vector<std::shared_ptr<cache_core>> used{tiers_->core};
  for (const auto& each : old_tiers_) used.push_back(each->core);
  old_tiers_.clear();
  tiers_.reset();
  generations_->leave(*this, counted_, used);
}

/// New requests begin with `to`; those that are under way end with what they began with. Over the same store below both
/// go through the same channel.
void cache_channel::go_over(const std::shared_ptr<cache_core>& to) {
  if (tiers_->core == to) return;
  ahead_.drop();
  const bool same = to->over().below == core().over().below;
  std::shared_ptr<store::channel> through = same ? tiers_->below : to->over().below->attach(loop_);
  old_tiers_.push_back(std::exchange(tiers_, std::make_unique<generation_ref>(to, std::move(through), loop_)));
  below_acts_now_ = tiers_->flash == nullptr;
  turned_down_ = 0;
  look_again();
  pins_.look();
}

void cache_channel::let_go_of_old_tiers() {
  for (std::size_t i = old_tiers_.size(); i-- > 0;) {
    if (old_tiers_[i]->jobs != 0 || !old_tiers_[i]->idle()) continue;
    const std::shared_ptr<cache_core> core = old_tiers_[i]->core;
    old_tiers_.erase(old_tiers_.begin() + static_cast<std::ptrdiff_t>(i));
    generations_->let_go(core);
  }
}

// -- hits -----------------------------------------------------------------------------------------------------------

/// Answers a read from RAM, all of it or nothing: first that all blocks are there, then the copies. A frame may be
/// filled anew under the copy, by its owner on another core, or made void by a write: its version tells, and the read
/// goes below as if nothing had been there. What was copied until then is written over.
bool cache_channel::hit(request& r) noexcept {
  if (!core().keeps() || absent(r.offset_bytes, r.length_bytes)) return false;
  const block_number first = first_block(r), last = end_block(r);
  const bool sampled = ++sampling_ % hits_per_sample == 0;
  const std::uint64_t started_ns = sampled ? loop_.now_ns() : 0;
  spot_slots_.clear();
  for (block_number block = first; block < last; ++block) {
    const place p(block);
    const ram_index& index = core().shard_of(p).index();
    const slot s = index.find_valid(index.set_of(p), block);
    if (s == no_slot) {
      absent_offset_ = r.offset_bytes;
      absent_length_ = r.length_bytes;
      return false;
    }
    spot_slots_.push_back(s);
  }
  store::scatter to(r.parts, r.part_count);
  std::uint64_t at = r.offset_bytes;
  const std::uint64_t end = r.offset_bytes + r.length_bytes;
  for (block_number block = first; block < last; ++block) {
    const place p(block);
    ram_shard& shard = core().shard_of(p);
    const slot s = spot_slots_[block - first];
    const std::uint64_t version = shard.index().open(s, block);
    if (version == 0) return false;
    const bool here = core().owner_of(p) == &loop_;
    const std::uint64_t until = std::min(end, (block + 1) * block_bytes);
    while (at < until) {
      const bytes piece = to.next(until - at);
      SLUICE_CHECK(!piece.empty());
      shard.index().copy(s, at % block_bytes, piece.data(), piece.size(), here);
      at += piece.size();
    }
    if (!shard.index().still(s, version)) return false;
    shard.hit(s);
  }
  counted_.read_blocks.add(last - first);
  counted_.ram_hit_blocks.add(last - first);
  ahead_.passed(r.offset_bytes, r.length_bytes);
  if (sampled) counted_.hit.record(loop_.now_ns() - started_ns);
  return true;
}

/// The clock costs as much as a hit: one of some is timed. 0: not this one.
std::uint64_t cache_channel::sample_miss() noexcept {
  return ++sampling_misses_ % misses_per_sample == 0 ? loop_.now_ns() : 0;
}

/// Only blocks that this loop owns are lent: their owner alone knows what is lent, and replaces memory that is lent
/// when its block is written.
bool cache_channel::borrow(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                           std::vector<memory::slice>& out) noexcept {
  fetch_ahead();
  if (!core().keeps()) return false;
  const std::size_t before = out.size();
  const std::uint64_t end = offset_bytes + length_bytes;
  for (std::uint64_t at = offset_bytes; at < end;) {
    const block_number block = at / block_bytes;
    const place p(block);
    ram_shard& shard = core().shard_of(p);
    const slot s = shard.index().find_valid(shard.index().set_of(p), block);
    if (s == no_slot) {
      absent_offset_ = offset_bytes;
      absent_length_ = length_bytes;
    }
    if (s == no_slot || core().owner_of(p) != &loop_) {
      out.resize(before);
      return false;
    }
    const std::uint64_t until = std::min(end, (block + 1) * block_bytes);
    memory::slice lent =
        core().lend(p, s, static_cast<std::uint32_t>(at % block_bytes), static_cast<std::uint32_t>(until - at));
    if (lent.empty()) {
      out.resize(before);
      return false;
    }
    out.push_back(std::move(lent));
    shard.hit(s);
    at = until;
  }
  if (length_bytes == 0) return true;
  const std::uint64_t blocks = (end - 1) / block_bytes - offset_bytes / block_bytes + 1;
  counted_.read_blocks.add(blocks);
  counted_.ram_hit_blocks.add(blocks);
  ahead_.passed(offset_bytes, length_bytes);
  note(verb::read, offset_bytes, length_bytes);
  return true;
}

// Two lines of memory stand between a read and its block, the second known by the first, and the processor waits for
// each as long as for all the rest of a hit. Reads that come together wait for none: the first line is fetched when a
// read is announced, the second a few reads before its turn.

void cache_channel::will_read(std::uint64_t offset_bytes) noexcept {
  const block_number block = offset_bytes / block_bytes;
  const place p(block);
  core().shard_of(p).fetch_set(p);
  foreseen_[foreseen_count_++ % foreseen_limit] = block;
}

void cache_channel::fetch_ahead() noexcept {
  constexpr std::uint64_t ahead = 3;
  if (begun_ != foreseen_count_) ++begun_;
  fetched_ = std::max(fetched_, foreseen_count_ - std::min(foreseen_count_, foreseen_limit));
  for (const std::uint64_t until = std::min(foreseen_count_, begun_ + ahead); fetched_ < until; ++fetched_) {
    const block_number block = foreseen_[fetched_ % foreseen_limit];
    const place p(block);
    core().shard_of(p).fetch_frame(p, block);
  }
}

// -- requests -------------------------------------------------------------------------------------------------------

/// A read: RAM, what was read ahead, flash, below. A write: by the mode. All else goes below, and with flash a flush is
/// noted, for what it makes durable below may stay on flash.
void cache_channel::submit(request& r) noexcept {
  note(r.what, r.offset_bytes, r.length_bytes);
  if (tiers_->flash && r.what == verb::flush) {
    take_job().pass(r);
    return;
  }
  tiers_->flush_when_due();
  pins_.resume();
  if (r.length_bytes == 0 || (r.what != verb::read && !store::changes_medium(r.what))) {
    take_job().pass(r);
  } else if (r.what != verb::read) {
    core().mode().write(*this, r);
  } else {
    read(r);
  }
}

void cache_channel::read(request& r) noexcept {
  if (hit(r) || ahead_.serve_now(r)) {
    finished_.push(r);
    loop_.defer(run_later_);
    return;
  }
  if (ahead_.serve_later(r)) return;
  absent_length_ = 0;
  read_below(r, reads_.observe(r.offset_bytes, r.length_bytes));
  ahead_.missed(r);
}

void cache_channel::read_below(request& r, std::uint64_t run) noexcept {
  cache_job& job = take_job();
  if (tiers_->flash && job.look_on_flash(r)) {
    job.read_flash();
  } else {
    job.read(r, !passes_by(r, run));
  }
}

bool cache_channel::try_now(request& r, status& outcome) noexcept {
  if (tiers_->flash && r.what == verb::flush) return false;
  if (r.length_bytes == 0 || (r.what != verb::read && !store::changes_medium(r.what)))
    return below().try_now(r, outcome);
  if (r.what == verb::read && (hit(r) || ahead_.serve_now(r))) {
    note(r.what, r.offset_bytes, r.length_bytes);
    outcome = status::good;
    return true;
  }
  if (!below_acts_now_ || r.length_bytes > at_once_limit) return false;
  const bool acted = r.what == verb::read ? read_below_now(r, outcome) : core().mode().write_now(*this, r, outcome);
  if (acted) {
    note(r.what, r.offset_bytes, r.length_bytes);
    turned_down_ = 0;
  } else if (++turned_down_ == turned_down_limit) {
    below_acts_now_ = false;  // a medium that is not memory: asking costs marks that come to nothing
  }
  return acted;
}

/// As a read through a job, within one turn. The versions are taken before the medium is asked: a write that begins on
/// another core meanwhile makes them void, and what was read is not kept.
bool cache_channel::read_below_now(request& r, status& outcome) noexcept {
  const block_number first = first_block(r), last = end_block(r);
  const std::uint64_t started_ns = sample_miss();
  core().take_fill_versions(first, last, spot_fill_versions_);
  if (!below().try_now(r, outcome)) return false;
  counted_.read_blocks.add(last - first);
  if (outcome == status::good && !passes_by(r, reads_.observe(r.offset_bytes, r.length_bytes)))
    keep(core(), first, spot_fill_versions_, r.offset_bytes, r.length_bytes, {r.parts, r.part_count},
         ram_shard::keep::always);
  if (started_ns != 0) counted_.miss.record(loop_.now_ns() - started_ns);
  return true;
}

void cache_channel::write_below(request& r, bool keeps) noexcept {
  take_job().write(r, after(r, keeps));
}

/// The marks of begin and end stand around the medium's answer also when it turns the request down.
bool cache_channel::write_below_now(request& r, status& outcome, bool keeps) noexcept {
  const block_number first = first_block(r), last = end_block(r);
  core().begin_blocks(first, last, &spot_fill_versions_);
  const bool acted = below().try_now(r, outcome);
  core().end_blocks(first, last, &spot_fill_versions_);
  if (!acted) return false;
  const cache_job::after_write how = after(r, keeps);
  if (outcome == status::good && how != cache_job::after_write::forget)
    keep(core(), first, spot_fill_versions_, r.offset_bytes, r.length_bytes, {r.parts, r.part_count},
         how == cache_job::after_write::keep ? ram_shard::keep::always : ram_shard::keep::if_there);
  return true;
}

bool cache_channel::passes_by(const request& r, std::uint64_t run) noexcept {
  const bool beyond = core().passes_by(run);
  if (beyond) counted_.streamed_blocks.add(end_block(r) - first_block(r));
  return beyond;
}

/// What is written in one long stream is not worth the place, but what the tiers have of it must not stay as it was.
cache_job::after_write cache_channel::after(const request& r, bool keeps) noexcept {
  counted_.written_blocks.add(end_block(r) - first_block(r));
  if (!keeps || r.what != verb::write) return cache_job::after_write::forget;
  const bool beyond = core().passes_by(writes_.observe(r.offset_bytes, r.length_bytes));
  return beyond ? cache_job::after_write::renew : cache_job::after_write::keep;
}

// -- blocks ---------------------------------------------------------------------------------------------------------

/// Each whole block goes to the core that owns its shard: at once to this one, by message to others. Nothing waits for
/// that, and each block is checked against its version where it arrives, so that a late one is only not kept.
void cache_channel::keep(cache_core& core, block_number first, const std::vector<std::uint64_t>& fill_versions,
                         std::uint64_t offset_bytes, std::uint64_t length_bytes, store::scatter parts,
                         ram_shard::keep how) noexcept {
  if (!core.keeps()) return;
  std::vector<std::pair<reactor::loop*, std::unique_ptr<batch>>> away;
  std::uint64_t at = offset_bytes;
  const std::uint64_t end = std::min(offset_bytes + length_bytes, core.whole_blocks() * block_bytes);
  if (const std::uint64_t lead = -at % block_bytes; lead != 0) {
    if (end < at + lead) return;
    parts.skip(lead);
    at += lead;
  }
  std::uint64_t kept = 0;
  for (; at + block_bytes <= end; at += block_bytes) {
    bytes content = parts.next(block_bytes);
    if (content.size() < block_bytes) {
      std::copy(content.begin(), content.end(), scrap_.get());
      parts.gather(scrap_.get() + content.size(), block_bytes - content.size());
      content = {scrap_.get(), block_bytes};
    }
    const batch::item item{at / block_bytes, fill_versions[at / block_bytes - first], how};
    const place p(item.block);
    reactor::loop* const to = core.owner_of(p);
    if (!to || !write_count::quiet(item.fill_version)) continue;
    if (to == &loop_) {
      if (core.put(p, item, content.data())) ++kept;
      continue;
    }
    const ram_index& index = core.shard_of(p).index();
    if (how == ram_shard::keep::if_there && ram_index::find(index.set_of(p), item.block) == no_slot) continue;
    auto found = std::find_if(away.begin(), away.end(), [to](const auto& each) { return each.first == to; });
    if (found == away.end()) found = away.insert(away.end(), {to, std::make_unique<batch>()});
    found->second->items.push_back(item);
    found->second->content.insert(found->second->content.end(), content.begin(), content.end());
    ++kept;
  }
  counted_.kept_blocks.add(kept);
  for (auto& [to, blocks] : away)
    if (!core.send(std::move(blocks), *to)) counted_.unkept_batches.add(1);
}

// -- what happens later ---------------------------------------------------------------------------------------------

cache_job& cache_channel::take_job() {
  if (!free_) {
    jobs_.push_back(std::make_unique<cache_job>(*this));
    free_ = jobs_.back().get();
    free_->next_job = nullptr;
  }
  cache_job& taken = *std::exchange(free_, free_->next_job);
  taken.tiers = tiers_.get();
  ++taken.tiers->jobs;
  return taken;
}

void cache_channel::give_back(cache_job& job) noexcept {
  --job.tiers->jobs;
  job.next_job = free_;
  free_ = &job;
}

void cache_channel::step_later(cache_job& job) noexcept {
  job.next_job = nullptr;
  (stepping_first_ ? stepping_last_->next_job : stepping_first_) = &job;
  stepping_last_ = &job;
  loop_.defer(run_later_);
}

bool cache_channel::idle() noexcept {
  pins_.pause();
  return old_tiers_.empty() && !generations_->is_exchanging() && tiers_->idle() && !pins_.at_work() &&
         !ahead_.at_work() && below().idle();
}

void cache_channel::wait_for_flash(cache_job& job) noexcept {
  job.next_job = waiting_;
  waiting_ = &job;
  if (!look_timer_.armed()) loop_.arm(look_timer_, ns_per_ms);
}

void cache_channel::look_again() noexcept {
  if (tiers_->flash) tiers_->recover();
  cache_job* waiting = std::exchange(waiting_, nullptr);
  while (waiting) std::exchange(waiting, waiting->next_job)->resume();
  let_go_of_old_tiers();
  if (!old_tiers_.empty() && !look_timer_.armed()) loop_.arm(look_timer_, ns_per_ms);
}

/// What either does may queue more: that is for the next turn.
void cache_channel::run_later() noexcept {
  store::request_queue finished = std::exchange(finished_, {});
  cache_job* stepping = std::exchange(stepping_first_, nullptr);
  while (!finished.empty()) finished.pop().done(status::good);
  while (stepping) std::exchange(stepping, stepping->next_job)->resume();
}

}  // namespace sluice::cache
