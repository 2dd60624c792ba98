#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "tiers/cache/policy/policy.hpp"

namespace sluice::cache {

/// Blocks that shall stay in RAM: ranges, sorted and merged. Immutable.
class pin_set {
 public:
  struct range {
    block_number first, last;  // [first, last)
    bool operator==(const range&) const = default;
  };
  pin_set() = default;
  explicit pin_set(std::vector<range> ranges) {
    std::sort(ranges.begin(), ranges.end(), [](const range& a, const range& b) { return a.first < b.first; });
    for (const range& each : ranges) {
      if (each.first >= each.last) continue;
      if (ranges_.empty() || ranges_.back().last < each.first)
        ranges_.push_back(each);
      else
        ranges_.back().last = std::max(ranges_.back().last, each.last);
    }
  }

  const std::vector<range>& ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }
  bool contains(block_number block) const noexcept {
    const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), block,
                                        [](block_number b, const range& each) { return b < each.first; });
    return after != ranges_.begin() && block < std::prev(after)->last;
  }
  std::uint64_t blocks() const noexcept {
    std::uint64_t all = 0;
    for (const range& each : ranges_) all += each.last - each.first;
    return all;
  }
  bool operator==(const pin_set&) const = default;

 private:
  std::vector<range> ranges_;
};

}  // namespace sluice::cache
