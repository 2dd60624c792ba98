#include "actors/reactor/wanderer.hpp"

#include <algorithm>

#include "actors/base/check.hpp"

namespace sluice::reactor {

wanderer::~wanderer() {
  SLUICE_CHECK(members_.empty());
}

void wanderer::attach(loop& on) {
  const std::lock_guard lock(guard_);
  const auto found = std::find_if(members_.begin(), members_.end(), [&](const member& m) { return m.on == &on; });
  if (found != members_.end()) {
    ++found->users;
    return;
  }
  members_.push_back({&on, 1});
  if (members_.size() == 1) arrive(on);
}

void wanderer::detach(loop& on) {
  const std::lock_guard lock(guard_);
  const auto found = std::find_if(members_.begin(), members_.end(), [&](const member& m) { return m.on == &on; });
  SLUICE_CHECK(found != members_.end());
  if (--found->users != 0) return;
  members_.erase(found);
  if (here_.load() != &on) return;
  get_up(on);
  // From here on whatever is left for it waits for where it sits down next.
  here_.store(nullptr, std::memory_order_seq_cst);
  move_on();
}

bool wanderer::stays_without(const loop& on) const noexcept {
  if (here() != &on) return true;
  const std::lock_guard lock(guard_);
  return std::any_of(members_.begin(), members_.end(), [&](const member& m) { return m.on == &on && m.users > 1; });
}

bool wanderer::has_users() const noexcept {
  const std::lock_guard lock(guard_);
  return !members_.empty();
}

/// With guard_ held.
void wanderer::arrive(loop& on) {
  // Who leaves something does so first and looks at here_ then; this is the other way round. So it is there when the
  // newcomer looks around, or whoever left it sees this loop.
  here_.store(&on, std::memory_order_seq_cst);
  sit_down(on);
}

/// To another loop, whose users may go before it comes there. With guard_ held.
void wanderer::move_on() {
  if (members_.empty()) return;
  loop* const next = members_.front().on;
  next->post([held = weak_from_this(), next] {
    const auto self = held.lock();
    if (!self) return;
    const std::lock_guard lock(self->guard_);
    if (self->here_.load() != nullptr) return;
    const bool stays =
        std::any_of(self->members_.begin(), self->members_.end(), [&](const member& m) { return m.on == next; });
    stays ? self->arrive(*next) : self->move_on();
  });
}

void wanderer::poke() noexcept {
  loop* const to = here();
  if (!to) return;
  to->post([held = weak_from_this(), to] {
    const auto self = held.lock();
    if (!self) return;
    // It may have moved since.
    loop* const now = self->here();
    if (now == to) return self->wake();
    if (now) self->poke();
  });
}

}  // namespace sluice::reactor
