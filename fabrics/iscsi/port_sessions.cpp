#include "fabrics/iscsi/port_sessions.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace sluice::iscsi {

std::uint64_t port_sessions::join(std::uint32_t portal, closer close) {
  const std::lock_guard guard(mutex_);
  if (stopping_) return 0;
  members_.emplace(++last_, member{portal, std::move(close)});
  return last_;
}

void port_sessions::leave(std::uint64_t number) {
  std::function<void()> stopped;
  {
    const std::lock_guard guard(mutex_);
    members_.erase(number);
    if (members_.empty()) stopped = std::exchange(stopped_, nullptr);
  }
  if (stopped) stopped();
}

void port_sessions::close_where(const std::function<bool(const member&)>& matches, port::loss_reason reason) {
  std::vector<closer> chosen;
  {
    const std::lock_guard guard(mutex_);
    for (const auto& [number, each] : members_)
      if (matches(each)) chosen.push_back(each.close);
  }
  for (const closer& close : chosen) close(reason);
}

void port_sessions::close_all(port::loss_reason reason) {
  close_where([](const member&) { return true; }, reason);
}

void port_sessions::close_at(std::uint32_t portal, port::loss_reason reason) {
  close_where([portal](const member& each) { return each.portal == portal; }, reason);
}

std::size_t port_sessions::count_at(std::uint32_t portal) const {
  const std::lock_guard guard(mutex_);
  return static_cast<std::size_t>(std::count_if(members_.begin(), members_.end(),
                                                [portal](const auto& each) { return each.second.portal == portal; }));
}

void port_sessions::stop(port::loss_reason reason, std::function<void()> stopped) {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
    if (!members_.empty()) stopped_ = std::exchange(stopped, nullptr);
  }
  if (stopped) return stopped();
  close_all(reason);
}

bool port_sessions::stopping() const {
  const std::lock_guard guard(mutex_);
  return stopping_;
}

}  // namespace sluice::iscsi
