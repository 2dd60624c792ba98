#include "actors/reactor/sim_events.hpp"

#include <limits>
#include <utility>

namespace sluice::reactor {

handle sim_events::adopt(std::uint64_t loop, shared of) {
  const handle h = world_.new_handle();
  handles_.emplace(h, opened{loop, std::move(of)});
  return h;
}

sim_events::shared sim_events::find(handle h) const {
  const auto found = handles_.find(h);
  return found == handles_.end() ? nullptr : found->second.of;
}

std::int64_t sim_events::signal(handle h) {
  const shared of = find(h);
  if (!of) return -EBADF;
  if (of->count == std::numeric_limits<std::uint64_t>::max() - 1) return -EAGAIN;
  ++of->count;
  for (const auto& [request, asked] : polls_)
    if (find(asked.on) == of) look_later(request);
  return 0;
}

std::int64_t sim_events::drain(handle h) {
  const shared of = find(h);
  if (!of) return -EBADF;
  if (of->count == 0) return -EAGAIN;
  return static_cast<std::int64_t>(std::exchange(of->count, 0));
}

void sim_events::poll(std::uint64_t request, handle h, unsigned events) {
  if (!find(h)) return world_.finish_request(request, -EBADF);
  for (const auto& [other, asked] : polls_) SLUICE_CHECK(asked.on != h);  // one poll of a descriptor at a time
  polls_.emplace(request, waiting{h, events});
  look_later(request);
}

void sim_events::look_later(std::uint64_t request) {
  world_.after(world_.draw(world_.options().turn_latency_ns), [this, request] {
    const auto found = polls_.find(request);
    if (found == polls_.end()) return;  // complete, or cancelled
    const shared of = find(found->second.on);
    const unsigned has = poll_event::writable | (of->count ? poll_event::readable : 0u);
    if (!(has & found->second.events)) return;
    const unsigned told = has & found->second.events;
    polls_.erase(found);
    world_.finish_request(request, told);
  });
}

void sim_events::close(handle h) {
  for (const auto& [request, asked] : polls_) SLUICE_CHECK(asked.on != h);  // a poll is cancelled first
  handles_.erase(h);
}

void sim_events::crash(std::uint64_t loop) {
  std::erase_if(polls_, [&](const auto& entry) { return handles_.at(entry.second.on).loop == loop; });
  std::erase_if(handles_, [loop](const auto& entry) { return entry.second.loop == loop; });
}

}  // namespace sluice::reactor
