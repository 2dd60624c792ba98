#include "fabrics/loopback/port_state.hpp"

#include <utility>

#include "fabrics/loopback/session.hpp"

namespace sluice::loopback {

bool port_state::join(const std::shared_ptr<session>& who) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return false;
  members_.insert(who.get());
  return true;
}

void port_state::left(session& who) {
  std::function<void()> stopped;
  {
    const std::lock_guard lock(mutex_);
    members_.erase(&who);
    if (stopping_ && members_.empty()) stopped = std::exchange(stopped_, nullptr);
  }
  if (stopped) stopped();
}

void port_state::stop(std::function<void()> stopped) {
  std::vector<std::shared_ptr<session>> all;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    stopped_ = std::move(stopped);
    // A member is alive until it has left.
    for (session* const each : members_) all.push_back(each->shared_from_this());
    if (members_.empty()) cores.front().core->loop().post(std::exchange(stopped_, nullptr));
  }
  for (const auto& each : all) each->end(port::loss_reason::shutdown);
}

}  // namespace sluice::loopback
