#include "gateway/nexus/registry.hpp"

namespace sluice::nexus {

void registry::grant(entry& e, const name& who, const admission& wish) {
  e.id = global_id(gateway_, next_count_++);
  e.cores = {wish.core};
  e.ends = false;
  by_id_.emplace(e.id, who);
  cores_.grant(wish.core, wish.question_id, e.id);
}

void registry::evict(entry& e, port::loss_reason reason) {
  e.ends = true;
  for (const unsigned core : e.cores) cores_.evict(core, e.id, reason);
}

void registry::admit(admission wish) {
  if (wish.joins != 0) return join(wish);
  const name who{wish.initiator, wish.port};
  const auto found = live_.find(who);
  if (found == live_.end()) {
    grant(live_[who], who, wish);
    return;
  }
  const bool first_to_wait = found->second.waiting.empty();
  found->second.waiting.push_back(std::move(wish));
  if (first_to_wait) evict(found->second, port::loss_reason::reinstated);
}

void registry::join(const admission& wish) {
  const auto known = by_id_.find(wish.joins);
  if (known == by_id_.end() || known->second != name{wish.initiator, wish.port})
    return cores_.refuse(wish.core, wish.question_id, errc::not_found);
  entry& e = live_.at(known->second);
  if (e.ends) return cores_.refuse(wish.core, wish.question_id, errc::not_found);
  if (!e.cores.insert(wish.core).second) return cores_.refuse(wish.core, wish.question_id, errc::already_exists);
  cores_.grant(wish.core, wish.question_id, e.id);
}

void registry::closed(std::uint64_t nexus_id, unsigned core) {
  const auto known = by_id_.find(nexus_id);
  if (known == by_id_.end()) return;
  const name who = known->second;
  entry& e = live_.at(who);
  e.cores.erase(core);
  if (!e.cores.empty()) return;
  by_id_.erase(known);
  if (e.waiting.empty()) {
    live_.erase(who);
    return;
  }
  const admission next = std::move(e.waiting.front());
  e.waiting.pop_front();
  grant(e, who, next);
  // Whoever queued up behind takes over at once.
  if (!e.waiting.empty()) evict(e, port::loss_reason::reinstated);
}

bool registry::kick(std::uint64_t nexus_id, port::loss_reason reason) {
  const auto known = by_id_.find(nexus_id);
  if (known == by_id_.end()) return false;
  evict(live_.at(known->second), reason);
  return true;
}

}  // namespace sluice::nexus
