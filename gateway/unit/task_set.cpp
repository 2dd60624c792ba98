#include "gateway/unit/shard.hpp"

// The order of tasks [SAM-5 8]. A task that may not start yet is in waiting_, in the order of arrival; one that did is
// in active_. What one task must keep others out of is a fence, raised in every shard by the home: a range of blocks
// (COMPARE AND WRITE), or everything (ORDERED).
namespace sluice::unit {

/// Starts every waiting task whose time has come. Tasks that start may end at once and call this again.
void shard::advance() noexcept {
  if (advancing_) {
    again_ = true;
    return;
  }
  advancing_ = true;
  do {
    again_ = false;
    pass();
  } while (again_);
  advancing_ = false;
  gate_ = !waiting_.empty() || !fences_.empty();
}

void shard::pass() noexcept {
  bool older_waits = false;  // a task further ahead still waits
  bool barrier = false;      // an ORDERED task further ahead still waits
  owing_.clear();
  for (command* c = waiting_.head(); c != nullptr;) {
    command* following = c->next;
    const bool ordered = c->range.ordered;
    // What waits for its initiator's data is in the way of that initiator only, see fence_range.
    bool own_waits = false, own_barrier = false;
    for (const command* o : owing_) {
      if (o->nexus != c->nexus) continue;
      own_waits = true;
      own_barrier = own_barrier || o->range.ordered;
    }
    const bool may_pass = !(barrier || own_barrier) || c->is_head_of_queue();
    const bool owes = c->with == command::place::fabric;
    bool starts = false;
    if (c->needs_fence) {
      starts = c->fence_granted;
      if (c->fence == 0 && !owes && may_pass && !(ordered && (older_waits || own_waits))) ask_fence(*c);
    } else {
      starts = may_pass && !kept_out(*c);
    }
    if (starts) {
      waiting_.erase(*c);
      active_.push_back(*c);
      const std::uint64_t removals = waiting_removals_;
      start(*c);
      if (removals != waiting_removals_) {  // `following` may be gone
        again_ = true;
        return;
      }
    } else if (owes) {
      owing_.push_back(c);
    } else {
      older_waits = true;
      barrier = barrier || ordered;
    }
    c = following;
  }
}

bool shard::kept_out(const command& c) const noexcept {
  for (const raised_fence& f : fences_) {
    if (f.id == c.fence) continue;
    if (f.range.ordered && !c.is_head_of_queue()) return true;
    if (f.range.exclusive && c.touches_blocks && f.range.shares_blocks(c.range)) return true;
  }
  return false;
}

/// Whether an ORDERED task does not wait for one that runs, because that does not come near the medium meanwhile.
bool shard::steps_aside(const command& c, const fence_range& range) const noexcept {
  if (c.abandoned) return true;
  const bool waits = c.with == command::place::fabric || c.with == command::place::fence ||
                     c.with == command::place::memory || c.with == command::place::nobody;
  return waits && c.nexus->identity->id != range.nexus;
}

bool shard::is_quiet(const raised_fence& f) const noexcept {
  if (f.range.guard) return true;
  for (const command* c = active_.head(); c != nullptr; c = c->next) {
    if (f.range.ordered && !steps_aside(*c, f.range)) return false;
    if (c->with == command::place::medium && c->touches_blocks && f.range.shares_blocks(c->range)) return false;
  }
  return true;
}

/// A task that runs is kept from the blocks of a fence between its requests only: one that waits for an initiator's
/// data must not hold up COMPARE AND WRITE of others, or their ORDERED tasks.
bool shard::fenced_off(const command& c) const noexcept {
  for (const raised_fence& f : fences_) {
    if (f.id == c.fence) continue;
    if (f.range.ordered) {
      if (c.nexus->identity->id != f.range.nexus && !c.is_head_of_queue()) return true;
    } else if (c.touches_blocks && f.range.shares_blocks(c.range)) {
      return true;
    }
  }
  return false;
}

void shard::start_medium(command& c) noexcept {
  if (options_.deadline_ns != 0) {
    c.since = tick_;
    watch_clock();
  }
  if (fenced_off(c)) {
    c.with = command::place::fence;
    return check_quiet();
  }
  c.with = command::place::medium;
  medium_->submit(c.io);
}

void shard::medium_done(command& c, store::status outcome) noexcept {
  c.medium_status = outcome;
  c.with = command::place::here;
  if (c.abandoned) [[unlikely]]
    --abandoned_;
  else if (c.guard) [[unlikely]]  // it came after all
    home_.send(fence_release{std::exchange(c.guard, 0)});
  if (gate_) check_quiet();
  c.resume();
}

void shard::unpark() noexcept {
  for (command* c = active_.head(); c != nullptr; c = c->next) {
    if (c->with == command::place::fence && !fenced_off(*c)) start_medium(*c);
  }
}

void shard::check_quiet() noexcept {
  for (raised_fence& f : fences_) {
    if (f.quiet || !is_quiet(f)) continue;
    f.quiet = true;
    home_.send(fence_quiet{options_.index, f.id});
  }
}

void shard::ask_fence(command& c) noexcept {
  // Unique among shards: the serial above, the shard's number below.
  c.fence = fence_id(options_.gateway, options_.index, ++fences_asked_);
  home_.send(fence_request{options_.index, c.fence, c.range});
}

void shard::on(fence_raised& message) {
  fences_.push_back({message.id, message.range, false});
  gate_ = true;
  check_quiet();
}

void shard::on(fence_granted& message) {
  for (command* c = waiting_.head(); c != nullptr; c = c->next) {
    if (c->fence != message.id) continue;
    c->fence_granted = true;
    return advance();
  }
  for (command* c = active_.head(); c != nullptr; c = c->next)
    if (c->guard == message.id) return abandon(*c);
  // Aborted meanwhile: its release is already on the way.
}

void shard::on(fence_lowered& message) {
  std::erase_if(fences_, [&](const raised_fence& f) { return f.id == message.id; });
  unpark();
  advance();
}

}  // namespace sluice::unit
