#include <algorithm>

#include "gateway/unit/home.hpp"

// Fences: ranges of blocks that one task keeps to itself, on all cores of this gateway.
namespace sluice::unit {

/// An ORDERED task waits for what its nexus has begun, so what that locks next comes before it.
void home::on(fence_request& message) {
  const auto awaits_it = [&asked = message.range](const fence& f) {
    return f.request.range.ordered && !f.granted && f.request.range.nexus == asked.nexus;
  };
  const auto at = message.range.continues ? std::find_if(fences_.begin(), fences_.end(), awaits_it) : fences_.end();
  fences_.insert(at, {message});
  raise_fences();
}

template <class Matches>
bool home::is_behind(const fence& f, Matches matches) const {
  for (const fence& earlier : fences_) {
    if (&earlier == &f) return false;
    if (earlier.request.range.holds_up(f.request.range) && matches(earlier.request.range)) return true;
  }
  return false;
}

/// Raises every fence that no earlier one overlaps. An overlapped one waits even for fences that wait themselves, so
/// that nobody starves. One of an ORDERED task does not wait for ranges: it keeps out what comes after it while it
/// waits for them to be granted and released.
void home::raise_fences() {
  for (fence& f : fences_) {
    const auto keeps_down = [ordered = f.request.range.ordered](const fence_range& earlier) {
      return !ordered || earlier.ordered || earlier.guard;
    };
    if (f.raised || is_behind(f, keeps_down)) continue;
    f.raised = true;
    f.loud = shards_.size();
    for (shard_link* shard : shards_) shard->send(fence_raised{f.request.id, f.request.range});
  }
}

void home::grant_fences() {
  for (fence& f : fences_) {
    if (!f.raised || f.granted || f.loud != 0) continue;
    if (is_behind(f, [](const fence_range&) { return true; })) continue;
    f.granted = true;
    shards_[f.request.shard]->send(fence_granted{f.request.id});
  }
}

void home::on(fence_quiet& message) {
  for (fence& f : fences_) {
    if (f.request.id != message.id) continue;
    if (--f.loud == 0) grant_fences();
    return;
  }
}

void home::on(fence_release& message) {
  const auto it =
      std::find_if(fences_.begin(), fences_.end(), [&](const fence& f) { return f.request.id == message.id; });
  if (it == fences_.end()) return;
  const bool raised = it->raised;
  fences_.erase(it);
  if (raised)
    for (shard_link* shard : shards_) shard->send(fence_lowered{message.id});
  raise_fences();
  grant_fences();
}

}  // namespace sluice::unit
