#include "gateway/nexus/registry.hpp"

namespace sluice::nexus {

void registry::grant(entry& e, const name& who, const admission& wish) {
  e.id = global_id(gateway_, next_count_++);
  e.core = wish.core;
  by_id_.emplace(e.id, who);
  cores_.grant(wish.core, wish.ticket, e.id);
}

void registry::admit(admission wish) {
  const name who{wish.initiator, wish.port};
  const auto found = live_.find(who);
  if (found == live_.end()) {
    grant(live_[who], who, wish);
    return;
  }
  const bool first_to_wait = found->second.waiting.empty();
  found->second.waiting.push_back(std::move(wish));
  if (first_to_wait) cores_.evict(found->second.core, found->second.id, port::loss_reason::reinstated);
}

void registry::closed(std::uint64_t nexus_id) {
  const auto known = by_id_.find(nexus_id);
  if (known == by_id_.end()) return;
  const name who = known->second;
  by_id_.erase(known);
  entry& e = live_.at(who);
  if (e.waiting.empty()) {
    live_.erase(who);
    return;
  }
  const admission next = std::move(e.waiting.front());
  e.waiting.pop_front();
  grant(e, who, next);
  // Whoever queued up behind takes over at once.
  if (!e.waiting.empty()) cores_.evict(e.core, e.id, port::loss_reason::reinstated);
}

bool registry::kick(std::uint64_t nexus_id, port::loss_reason reason) {
  const auto known = by_id_.find(nexus_id);
  if (known == by_id_.end()) return false;
  cores_.evict(live_.at(known->second).core, nexus_id, reason);
  return true;
}

}  // namespace sluice::nexus
