#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "tiers/journal/journal_format.hpp"

namespace sluice::journal {

/// Blocks of a store, as the ranges that they make. One thread.
class block_set {
 public:
  bool contains(block_number block) const;
  /// [first, last); how many were not in it.
  std::uint64_t insert(block_number first, block_number last);
  /// [first, last)
  void erase(block_number first, block_number last);
  void clear() { ranges_.clear(), blocks_ = 0; }
  bool empty() const { return ranges_.empty(); }
  std::uint64_t size() const { return blocks_; }
  /// At most so many ranges that hold all blocks: where there are more, those that lie nearest to each other become
  /// one, with what lies between.
  std::vector<block_range> ranges(std::size_t limit) const;

 private:
  std::map<block_number, block_number> ranges_;  // disjoint and apart: first -> last
  std::uint64_t blocks_ = 0;
};

}  // namespace sluice::journal
