#include "tiers/journal/block_set.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

namespace sluice::journal {

bool block_set::contains(block_number block) const {
  const auto after = ranges_.upper_bound(block);
  return after != ranges_.begin() && std::prev(after)->second > block;
}

/// Ranges that touch become one: in the set they neither overlap nor touch.
std::uint64_t block_set::insert(block_number first, block_number last) {
  if (first >= last) return 0;
  const std::uint64_t before = blocks_;
  auto at = ranges_.upper_bound(first);
  if (at != ranges_.begin() && std::prev(at)->second >= first) --at;
  block_number begin = first, end = last;
  while (at != ranges_.end() && at->first <= end) {
    begin = std::min(begin, at->first);
    end = std::max(end, at->second);
    blocks_ -= at->second - at->first;
    at = ranges_.erase(at);
  }
  ranges_.emplace(begin, end);
  blocks_ += end - begin;
  return blocks_ - before;
}

/// A range that sticks out on either side leaves a part there, or two.
void block_set::erase(block_number first, block_number last) {
  if (first >= last) return;
  auto at = ranges_.upper_bound(first);
  if (at != ranges_.begin()) --at;
  while (at != ranges_.end() && at->first < last) {
    const auto [begin, end] = *at;
    if (end <= first) {
      ++at;
      continue;
    }
    at = ranges_.erase(at);
    blocks_ -= end - begin;
    for (const auto& [from, until] : {std::pair(begin, std::min(end, first)), std::pair(std::max(begin, last), end)})
      if (from < until) {
        at = std::next(ranges_.emplace(from, until).first);
        blocks_ += until - from;
      }
  }
}

std::vector<block_range> block_set::ranges(std::size_t limit) const {
  std::vector<std::pair<block_number, block_number>> all(ranges_.begin(), ranges_.end());
  if (all.size() > limit) {
    // The widest gaps stay.
    std::vector<std::pair<block_number, std::size_t>> gaps;  // how wide, behind which range
    for (std::size_t i = 0; i + 1 < all.size(); ++i) gaps.emplace_back(all[i + 1].first - all[i].second, i);
    std::nth_element(gaps.begin(), gaps.begin() + static_cast<std::ptrdiff_t>(limit) - 1, gaps.end(), std::greater<>());
    gaps.resize(limit - 1);
    std::sort(gaps.begin(), gaps.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    std::vector<std::pair<block_number, block_number>> merged;
    std::size_t from = 0;
    for (const auto& [width, behind] : gaps) {
      merged.emplace_back(all[from].first, all[behind].second);
      from = behind + 1;
    }
    merged.emplace_back(all[from].first, all.back().second);
    all = std::move(merged);
  }
  std::vector<block_range> made;
  for (const auto& [first, last] : all) made.push_back({first, last - first});
  return made;
}

}  // namespace sluice::journal
