#include <algorithm>

#include "gateway/unit/jobs.hpp"

// The order of tasks [SAM-5 8]. A task that may not start yet is in waiting_, in the order of arrival; one that did is
// in active_. What one task must keep others out of is a range lock, raised in every shard by the coordinator: a range
// of blocks (COMPARE AND WRITE), or everything (ORDERED).
namespace sluice::unit {

namespace {

/// Whether the command fences a host off. ORDERED tasks of other nexuses do not keep it back, for they may wait for
/// that host: which of the two came first nobody can tell, as long as neither is answered.
bool locks_out(const command& c) noexcept {
  constexpr std::uint8_t preempt_and_abort = 0x05;  // [SPC-4 6.16.2]
  return c.row && c.row->what == scsi::command::persistent_reserve_out && !c.range.ordered &&
         (c.cdb()[1] & 0x1f) == preempt_and_abort;
}

/// Whether an ORDERED task of the same nexus waits further ahead.
bool is_behind_its_own(const command& c, const command* first) noexcept {
  for (const command* o = first; o != &c; o = o->next)
    if (o->range.ordered && o->nexus == c.nexus) return true;
  return false;
}

}  // namespace

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
  gate_ = !waiting_.empty() || !range_locks_.empty();
  if (gate_) check_quiet();  // a range lock may wait for tasks that wait
}

void shard::pass() noexcept {
  bool barrier = false;  // an ORDERED task further ahead still waits
  owing_.clear();
  for (command* c = waiting_.head(); c != nullptr;) {
    command* following = c->next;
    const bool ordered = c->range.ordered;
    // What waits for its initiator's data is in the way of that initiator only, see lock_range.
    bool own_waits = false, own_barrier = false;
    for (const command* o : owing_) {
      if (o->nexus != c->nexus) continue;
      own_waits = true;
      own_barrier = own_barrier || o->range.ordered;
    }
    // An ORDERED task that has asked already waits for what its nexus sent before: nothing keeps that back.
    const bool is_awaited = std::any_of(range_locks_.begin(), range_locks_.end(), [&](const held_range_lock& f) {
      return f.range.ordered && f.range.nexus == c->nexus->identity->id && came_before(*c, f.range);
    });
    const bool may_pass = !(barrier || own_barrier) || is_awaited || c->is_head_of_queue() ||
                          (locks_out(*c) && !is_behind_its_own(*c, waiting_.head()));
    const bool owes = c->with == command::place::fabric;
    bool starts = false;
    if (c->needs_range_lock) {
      starts = c->range_lock_granted;
      if (c->range_lock == 0 && !owes && may_pass && !(ordered && own_waits)) ask_range_lock(*c);
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
      barrier = barrier || ordered;
    }
    c = following;
  }
}

/// Whether a task came before an ORDERED one of the same shard.
bool shard::came_before(const command& c, const lock_range& ordered) const noexcept {
  return ordered.shard == options_.index && c.serial < ordered.serial;
}

bool shard::is_behind_range(const command& c) const noexcept {
  return c.touches_blocks && std::any_of(range_locks_.begin(), range_locks_.end(), [&](const held_range_lock& f) {
           const bool is_awaited = f.range.ordered && came_before(c, f.range);
           return f.id != c.range_lock && f.range.exclusive && !is_awaited && f.range.shares_blocks(c.range);
         });
}

bool shard::kept_out(const command& c) const noexcept {
  if (is_behind_range(c)) return true;
  if (c.is_head_of_queue()) return false;
  const bool passes_others = locks_out(c);
  return std::any_of(range_locks_.begin(), range_locks_.end(), [&](const held_range_lock& f) {
    if (passes_others && f.range.nexus != c.nexus->identity->id) return false;
    return f.id != c.range_lock && f.range.ordered && !came_before(c, f.range);
  });
}

/// Whether an ORDERED task does not wait for another, because that does not come near the medium meanwhile.
bool shard::gives_way(const command& c, const lock_range& range) const noexcept {
  if (c.abandoned) return true;
  // What waits for its turn behind an ORDERED task of its own host may be waiting for this one's end.
  if (c.where == command::stage::waiting)
    return c.nexus->identity->id != range.nexus && (c.needs_range_lock || !is_behind_range(c));
  const bool waits = c.with == command::place::fabric || c.with == command::place::range_lock ||
                     c.with == command::place::lock || c.with == command::place::memory ||
                     c.with == command::place::nobody;
  return waits && c.nexus->identity->id != range.nexus;
}

bool shard::is_quiet(const held_range_lock& f) const noexcept {
  if (f.range.guard) return true;
  if (f.turns_to_wait != 0) return false;
  if (f.range.ordered)
    for (const command* c = waiting_.head(); c != nullptr && came_before(*c, f.range); c = c->next)
      if (!gives_way(*c, f.range)) return false;
  for (const command* c = active_.head(); c != nullptr; c = c->next) {
    if (f.range.ordered && !gives_way(*c, f.range)) return false;
    if (c->with == command::place::medium && c->touches_blocks && f.range.shares_blocks(c->range)) return false;
  }
  return true;
}

/// A task that runs is kept from the blocks of a range lock between its requests only: one that waits for an
/// initiator's data must not hold up COMPARE AND WRITE of others, or their ORDERED tasks. One that has a range lock of
/// its own has it from before any ORDERED task that waits, and is what that waits for.
bool shard::is_locked_out(const command& c) const noexcept {
  for (const held_range_lock& f : range_locks_) {
    if (f.id == c.range_lock) continue;
    if (f.range.ordered) {
      if (c.nexus->identity->id != f.range.nexus && !c.is_head_of_queue() && !c.range_lock_granted) return true;
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
  if (is_locked_out(c)) {
    c.with = command::place::range_lock;
    return check_quiet();
  }
  c.with = command::place::medium;
  c.has_written = c.has_written || store::changes_medium(c.io.what);
  if (c.io.what == store::verb::flush && c.flush == 0) [[unlikely]]
    begin_flush(c);
  c.relayed ? options_.owners->submit(*c.relayed) : medium_->submit(c.io);
}

void shard::medium_done(command& c, store::status outcome) noexcept {
  c.medium_status = outcome;
  c.with = command::place::here;
  if (c.flush != 0) [[unlikely]]
    end_flush(std::exchange(c.flush, 0), outcome);
  if (outcome != store::status::good && outcome != store::status::miscompare && store::changes_medium(c.io.what))
      [[unlikely]]
    options_.flushes->mark();  // a part of it may be in a cache
  if (c.abandoned) [[unlikely]]
    --abandoned_;
  else if (c.guard) [[unlikely]]  // it came after all
    coordinator_.send(range_lock_release{std::exchange(c.guard, 0)});
  if (gate_) check_quiet();
  if (outcome == store::status::good && !c.is_aborted() && !c.relayed && is_overtaken(*this, c)) [[unlikely]] {
    prepare_flush(c);
    return start_medium(c);
  }
  c.resume();
}

void shard::unpark() noexcept {
  for (command* c = active_.head(); c != nullptr; c = c->next) {
    if (c->with == command::place::range_lock && !is_locked_out(*c)) start_medium(*c);
  }
}

void shard::check_quiet() noexcept {
  for (held_range_lock& f : range_locks_) {
    if (f.quiet || !is_quiet(f)) continue;
    f.quiet = true;
    coordinator_.send(range_lock_quiet{options_.index, f.id});
  }
}

void shard::ask_range_lock(command& c) noexcept {
  // Unique among shards: the serial above, the shard's number below.
  c.range_lock = range_lock_id(options_.gateway, options_.index, ++range_locks_asked_);
  c.range.shard = options_.index;
  c.range.serial = c.serial;
  coordinator_.send(range_lock_request{options_.index, c.range_lock, c.range});
}

/// Around some of its blocks, by a task that runs: it has their data, so nobody waits for an initiator.
void shard::lock(command& c, const scsi::block_range& blocks) noexcept {
  if (options_.deadline_ns != 0) {
    c.since = tick_;
    watch_clock();
  }
  c.with = command::place::lock;
  c.range_lock = range_lock_id(options_.gateway, options_.index, ++range_locks_asked_);
  lock_range range{.begin = blocks.lba, .end = blocks.lba + blocks.blocks};
  range.nexus = c.nexus->identity->id;
  range.continues = true;
  coordinator_.send(range_lock_request{options_.index, c.range_lock, range});
  if (gate_) check_quiet();
}

void shard::unlock(command& c) noexcept {
  if (c.range.ordered) return;
  c.range_lock_granted = false;
  coordinator_.send(range_lock_release{std::exchange(c.range_lock, 0)});
}

/// A read that was answered with the medium's own memory leaves it to its fabric, which looks at it when it sends: at
/// the latest at the end of the turn in which it hears of the answer. What changes blocks in one step waits for that.
void shard::await_borrowers(held_range_lock& f) noexcept {
  constexpr unsigned turns = 4;  // a fabric that has very much to hear of takes a few
  f.turns_to_wait = turns;
  loop_.defer(next_turn_);
}

void shard::next_turn() noexcept {
  loop_.at_turn_end(turn_over_);
}

void shard::turn_over() noexcept {
  bool more = false;
  for (held_range_lock& f : range_locks_) {
    if (f.turns_to_wait != 0) --f.turns_to_wait;
    more = more || f.turns_to_wait != 0;
  }
  if (more) loop_.defer(next_turn_);
  check_quiet();
}

void shard::on(range_lock_held& message) {
  range_locks_.push_back({message.id, message.range, false, 0});
  gate_ = true;
  if (lent_ && message.range.exclusive && !message.range.guard) await_borrowers(range_locks_.back());
  // What this one waits for may have waited behind an ORDERED task of another nexus, and is let pass from here on.
  if (message.range.ordered && message.range.shard == options_.index) return advance();
  check_quiet();
}

void shard::on(range_lock_granted& message) {
  for (command* c = waiting_.head(); c != nullptr; c = c->next) {
    if (c->range_lock != message.id) continue;
    c->range_lock_granted = true;
    return advance();
  }
  for (command* c = active_.head(); c != nullptr; c = c->next) {
    if (c->guard == message.id) return abandon(*c);
    if (c->range_lock != message.id) continue;
    c->range_lock_granted = true;
    c->with = command::place::here;
    return c->resume();
  }
  // Aborted meanwhile: its release is already on the way.
}

void shard::on(range_lock_gone& message) {
  std::erase_if(range_locks_, [&](const held_range_lock& f) { return f.id == message.id; });
  unpark();
  advance();
}

}  // namespace sluice::unit
