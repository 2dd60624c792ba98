#include "actors/reactor/timer_wheel.hpp"

#include <algorithm>
#include <bit>

namespace sluice::reactor {

void timer_wheel::list::push_back(timer& t) {
  t.previous_ = previous_;
  t.next_ = this;
  previous_->next_ = &t;
  previous_ = &t;
}

void timer_wheel::list::unlink(timer& t) {
  t.previous_->next_ = t.next_;
  t.next_->previous_ = t.previous_;
  t.next_ = t.previous_ = nullptr;
}

timer_wheel::place timer_wheel::place_of(std::uint64_t deadline_tick) const {
  const unsigned highest_difference = 63 - static_cast<unsigned>(std::countl_zero(deadline_tick ^ now_));
  const unsigned on = highest_difference / slot_bits;
  return {on, static_cast<unsigned>(deadline_tick >> (on * slot_bits)) % slot_count};
}

void timer_wheel::insert(timer& t) {
  if (t.deadline_tick_ <= now_) return due_.push_back(t);
  const place where = place_of(t.deadline_tick_);
  levels_[where.level].slots[where.slot].push_back(t);
  levels_[where.level].occupied |= std::uint64_t{1} << where.slot;
}

void timer_wheel::arm(timer& t, std::uint64_t deadline_tick) noexcept {
  disarm(t);
  t.deadline_tick_ = std::min(std::max(deadline_tick, now_ + 1), horizon);
  insert(t);
  ++armed_;
}

void timer_wheel::disarm(timer& t) noexcept {
  if (!t.armed()) return;
  list::unlink(t);
  --armed_;
  if (t.deadline_tick_ <= now_) return;  // was on the list of due timers
  // The place is the one chosen when it was armed: the current tick has not reached that slot yet.
  const place where = place_of(t.deadline_tick_);
  if (levels_[where.level].slots[where.slot].empty())
    levels_[where.level].occupied &= ~(std::uint64_t{1} << where.slot);
}

std::optional<std::uint64_t> timer_wheel::next_tick() const noexcept {
  if (!due_.empty()) return now_;
  for (unsigned on = 0; on < level_count; ++on) {
    if (levels_[on].occupied == 0) continue;
    // Every slot in use lies ahead of the current tick within the level's present round, so lower levels come first.
    const auto slot = static_cast<std::uint64_t>(std::countr_zero(levels_[on].occupied));
    const unsigned shift = on * slot_bits;
    const std::uint64_t round = now_ >> (shift + slot_bits) << (shift + slot_bits);
    return round | slot << shift;
  }
  return std::nullopt;
}

void timer_wheel::open_slot(std::uint64_t tick) {
  const place where = place_of(tick);
  now_ = tick;
  level& on = levels_[where.level];
  on.occupied &= ~(std::uint64_t{1} << where.slot);
  list& slot = on.slots[where.slot];
  while (!slot.empty()) {
    timer& t = *slot.next_;
    list::unlink(t);
    insert(t);
  }
}

unsigned timer_wheel::advance(std::uint64_t tick) noexcept {
  tick = std::min(tick, horizon);
  unsigned expired = 0;
  for (;;) {
    while (!due_.empty()) {
      timer& t = *due_.next_;
      list::unlink(t);
      --armed_;
      ++expired;
      t.on_timer();
    }
    const std::optional<std::uint64_t> next = next_tick();
    if (!next || *next > tick) break;
    open_slot(*next);
  }
  now_ = std::max(now_, tick);
  return expired;
}

void timer_wheel::clear() noexcept {
  const auto release = [](list& of) {
    while (!of.empty()) list::unlink(*of.next_);
  };
  release(due_);
  for (level& each : levels_) {
    std::for_each(each.slots.begin(), each.slots.end(), release);
    each.occupied = 0;
  }
  armed_ = 0;
}

}  // namespace sluice::reactor
