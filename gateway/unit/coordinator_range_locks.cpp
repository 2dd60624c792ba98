#include <algorithm>

#include "gateway/unit/coordinator.hpp"

// Range locks: ranges of blocks that one task keeps to itself, on all cores of this gateway.
namespace sluice::unit {

/// An ORDERED task waits for what its nexus has begun, so what that locks next comes before it.
void coordinator::on(range_lock_request& message) {
  const auto awaits_it = [&asked = message.range](const range_lock& f) {
    return f.request.range.ordered && !f.granted && f.request.range.nexus == asked.nexus;
  };
  const auto at =
      message.range.continues ? std::find_if(range_locks_.begin(), range_locks_.end(), awaits_it) : range_locks_.end();
  range_locks_.insert(at, {message});
  hold_range_locks();
}

template <class Matches>
bool coordinator::is_behind(const range_lock& f, Matches matches) const {
  for (const range_lock& earlier : range_locks_) {
    if (&earlier == &f) return false;
    if (earlier.request.range.holds_up(f.request.range) && matches(earlier.request.range)) return true;
  }
  return false;
}

/// Raises every range lock that no earlier one overlaps. An overlapped one waits even for range locks that wait
/// themselves, so that nobody starves. One of an ORDERED task does not wait for ranges: it keeps out what comes after
/// it while it waits for them to be granted and released.
void coordinator::hold_range_locks() {
  for (range_lock& f : range_locks_) {
    const auto keeps_down = [ordered = f.request.range.ordered](const lock_range& earlier) {
      return !ordered || earlier.ordered || earlier.guard;
    };
    if (f.raised || is_behind(f, keeps_down)) continue;
    f.raised = true;
    f.loud = shards_.size();
    for (shard_link* shard : shards_) shard->send(range_lock_held{f.request.id, f.request.range});
  }
}

void coordinator::grant_range_locks() {
  for (range_lock& f : range_locks_) {
    if (!f.raised || f.granted || f.loud != 0) continue;
    if (is_behind(f, [](const lock_range&) { return true; })) continue;
    f.granted = true;
    shards_[f.request.shard]->send(range_lock_granted{f.request.id});
  }
}

void coordinator::on(range_lock_quiet& message) {
  for (range_lock& f : range_locks_) {
    if (f.request.id != message.id) continue;
    if (--f.loud == 0) grant_range_locks();
    return;
  }
}

void coordinator::on(range_lock_release& message) {
  const auto it = std::find_if(range_locks_.begin(), range_locks_.end(),
                               [&](const range_lock& f) { return f.request.id == message.id; });
  if (it == range_locks_.end()) return;
  const bool raised = it->raised;
  range_locks_.erase(it);
  if (raised)
    for (shard_link* shard : shards_) shard->send(range_lock_gone{message.id});
  hold_range_locks();
  grant_range_locks();
}

}  // namespace sluice::unit
