#include <algorithm>

#include "gateway/unit/home.hpp"

// Fences: ranges of blocks that one task keeps to itself, on all cores of this gateway.
namespace sluice::unit {

void home::on(fence_request& message) {
  fences_.push_back({message});
  raise_fences();
}

/// Raises every fence that no earlier one overlaps. An overlapped one waits even for fences that wait themselves, so
/// that nobody starves.
void home::raise_fences() {
  for (std::size_t i = 0; i < fences_.size(); ++i) {
    fence& f = fences_[i];
    if (f.raised) continue;
    const auto end = fences_.begin() + static_cast<std::ptrdiff_t>(i);
    const bool blocked = std::any_of(
        fences_.begin(), end, [&](const fence& earlier) { return earlier.request.range.holds_up(f.request.range); });
    if (blocked) continue;
    f.raised = true;
    f.loud = shards_.size();
    for (shard_link* shard : shards_) shard->send(fence_raised{f.request.id, f.request.range});
  }
}

void home::on(fence_quiet& message) {
  for (fence& f : fences_) {
    if (f.request.id != message.id) continue;
    if (--f.loud == 0) shards_[f.request.shard]->send(fence_granted{f.request.id});
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
}

}  // namespace sluice::unit
