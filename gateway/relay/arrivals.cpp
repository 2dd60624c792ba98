#include "gateway/relay/arrivals.hpp"

#include <algorithm>

namespace sluice::relay {

void arrivals::enter(const place& from, std::uint64_t link, std::function<void()> end, std::function<void()> welcome) {
  const std::lock_guard hold(guard_);
  std::deque<entry>& here = all_[from];
  for (entry& earlier : here)
    if (const auto tell = std::exchange(earlier.end, {})) tell();
  here.push_back({link, std::move(end), std::move(welcome)});
  if (here.size() == 1) std::exchange(here.front().welcome, {})();
}

void arrivals::leave(const place& from, std::uint64_t link) {
  const std::lock_guard hold(guard_);
  const auto found = all_.find(from);
  if (found == all_.end()) return;
  std::deque<entry>& here = found->second;
  std::erase_if(here, [link](const entry& each) { return each.link == link; });
  if (here.empty()) {
    all_.erase(found);
    return;
  }
  if (const auto tell = std::exchange(here.front().welcome, {})) tell();
}

}  // namespace sluice::relay
