#include "tiers/cache/generation_switch.hpp"

#include <algorithm>
#include <utility>

#include "tiers/cache/cache_channel.hpp"

namespace sluice::cache {

std::shared_ptr<cache_core> generation_switch::join(cache_channel& channel, reactor::loop& loop,
                                                    const counters& counted) {
  const std::lock_guard lock(guard_);
  members_.push_back({&channel, &loop, &counted});
  return current_;
}

void generation_switch::leave(const cache_channel& channel, const counters& counted,
                              const std::vector<std::shared_ptr<cache_core>>& used) {
  const std::lock_guard lock(guard_);
  std::erase_if(members_, [&](const member& each) { return each.channel == &channel; });
  gone_.add(counted);
  for (const auto& core : used) release(core);
}

void generation_switch::let_go(const std::shared_ptr<cache_core>& of) {
  const std::lock_guard lock(guard_);
  release(of);
}

void generation_switch::release(const std::shared_ptr<cache_core>& of) {
  for (departing& each : departing_)
    if (each.core == of) --each.users;
  keep_when_alone();
}

std::shared_ptr<cache_core> generation_switch::core() const {
  const std::lock_guard lock(guard_);
  return current_;
}

std::shared_ptr<cache_core> generation_switch::newest() const {
  const std::lock_guard lock(guard_);
  return next_ ? next_ : current_;
}

void generation_switch::for_cores(const std::function<void(cache_core&)>& what) const {
  const std::lock_guard lock(guard_);
  what(*current_);
  if (next_) what(*next_);
}

bool generation_switch::is_exchanging() const {
  const std::lock_guard lock(guard_);
  return next_ || loops_left_ != 0;
}

bool generation_switch::is_over_one() const {
  const std::lock_guard lock(guard_);
  const auto& below = (next_ ? next_ : current_)->over().below;
  return current_->over().below == below &&
         std::all_of(departing_.begin(), departing_.end(),
                     [&](const departing& each) { return each.core->over().below == below; });
}

void generation_switch::take_over() {
  const std::lock_guard lock(guard_);
  taken_over_ = true;
  keep_when_alone();
}

void generation_switch::hand_over() {
  const std::lock_guard lock(guard_);
  taken_over_ = false;
  current_->set_keeps(false);
}

void generation_switch::set_tenure(bool holds) {
  const std::lock_guard lock(guard_);
  has_tenure_ = holds;
  holds ? keep_when_alone() : current_->set_keeps(false);
}

void generation_switch::sum(counters& into) const {
  const std::lock_guard lock(guard_);
  into.add(gone_);
  for (const member& each : members_) into.add(*each.counted);
}

void generation_switch::exchange(std::shared_ptr<cache_core> next) {
  const std::lock_guard lock(guard_);
  SLUICE_CHECK(!next_ && loops_left_ == 0);
  // Step 1 begins: from here on fill versions are given out that never hold (take_fill_versions).
  current_->set_keeps(false);
  next->set_keeps(false);
  next_ = std::move(next);
  on_every_loop(&generation_switch::forget_on);
}

/// Has every loop with channels do its part of a step, and goes on to the next step when there is none.
void generation_switch::on_every_loop(void (generation_switch::*what)(reactor::loop&)) {
  const std::vector<reactor::loop*> all = loops();
  // One more than there are loops, for the caller: a step does not end before all of them have been told to begin.
  loops_left_ = all.size() + 1;
  for (reactor::loop* each : all) each->post([self = shared_from_this(), what, each] { (*self.*what)(*each); });
  one_loop_is_through();
}

/// Step 1 on a loop. What the loop did before this turn came from fill versions that held; what it does later does
/// not.
void generation_switch::forget_on(reactor::loop& here) {
  const std::lock_guard lock(guard_);
  current_->forget_on_the_way_to_flash(here);
  one_loop_is_through();
}

std::vector<reactor::loop*> generation_switch::loops() const {
  std::vector<reactor::loop*> all;
  for (const member& each : members_)
    if (std::find(all.begin(), all.end(), each.loop) == all.end()) all.push_back(each.loop);
  return all;
}

std::vector<cache_channel*> generation_switch::channels_on(const reactor::loop& here) const {
  const std::lock_guard lock(guard_);
  std::vector<cache_channel*> found;
  for (const member& each : members_)
    if (each.loop == &here) found.push_back(each.channel);
  return found;
}

void generation_switch::pins_changed() {
  const std::lock_guard lock(guard_);
  for (reactor::loop* each : loops())
    each->post([self = shared_from_this(), each] {
      for (cache_channel* channel : self->channels_on(*each)) channel->look_at_pins();
    });
}

/// Step 2 on a loop. Its channels change in one turn: no request of the loop begins in between.
void generation_switch::go_over_on(reactor::loop& here) {
  const std::shared_ptr<cache_core> to = core();
  for (cache_channel* each : channels_on(here)) each->go_over(to);
  const std::lock_guard lock(guard_);
  one_loop_is_through();
}

void generation_switch::one_loop_is_through() {
  if (--loops_left_ != 0) return;
  if (!next_) return keep_when_alone();
  // Every channel may have something under way with the core that goes; each says when it has not (let_go).
  departing_.push_back({std::exchange(current_, std::exchange(next_, nullptr)), members_.size()});
  on_every_loop(&generation_switch::go_over_on);
}

/// Step 3: the new core keeps once nobody uses another one. Runs with guard_ held, whenever one of its conditions may
/// have come true, the last of them included.
void generation_switch::keep_when_alone() {
  std::erase_if(departing_, [](const departing& each) { return each.users == 0; });
  if (next_ || loops_left_ != 0 || !departing_.empty()) return;
  if (!taken_over_ || !has_tenure_ || current_->keeps()) return;
  // What the store below acknowledged under other tiers may need a flush that this flash has not seen.
  if (current_->flash() && current_->volatile_below()) current_->flash()->all_unflushed();
  current_->set_keeps(true);
  if (tell_alone_ && !members_.empty()) members_.front().loop->post(tell_alone_);
}

}  // namespace sluice::cache
