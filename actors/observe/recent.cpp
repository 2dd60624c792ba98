#include "actors/observe/recent.hpp"

namespace sluice::observe {

void recent_lines::add(std::string time, std::string what) {
  const std::lock_guard guard(lock_);
  if (lines_.size() == capacity) lines_.pop_front();
  lines_.push_back({next_++, std::move(time), std::move(what)});
}

std::vector<recent_line> recent_lines::from(std::uint64_t first, std::uint64_t& next) const {
  const std::lock_guard guard(lock_);
  next = next_;
  std::vector<recent_line> found;
  for (const recent_line& line : lines_)
    if (line.number >= first) found.push_back(line);
  return found;
}

recent_lines& recent() {
  static recent_lines lines;
  return lines;
}

}  // namespace sluice::observe
