#pragma once
#include <cstdint>
#include <vector>

#include "tiers/cache/policy/policy.hpp"

namespace sluice::cache {

/// How often blocks were asked for lately, in a fixed space: a count-min sketch of four rows of 4-bit counters which
/// are halved after every ten times as many counts as there are blocks of interest (Einziger, Friedman, Manes:
/// "TinyLFU", 2017). Never less than the truth since the last halving, up to 15.
class frequency_sketch {
 public:
  /// `blocks`: about how many distinct ones matter; 8 octets are taken for each.
  explicit frequency_sketch(std::uint64_t blocks);

  void add(block_number key) noexcept;
  unsigned estimate(block_number key) const noexcept;
  std::uint64_t memory_bytes() const noexcept { return words_.size() * sizeof(std::uint64_t); }

  static constexpr unsigned most = 15;

 private:
  static constexpr unsigned rows = 4;
  struct place {
    std::uint64_t word;
    unsigned shift;
  };
  place at(std::uint64_t hash, unsigned row) const noexcept;
  void halve() noexcept;

  std::vector<std::uint64_t> words_;
  std::uint64_t mask_;
  std::uint64_t sample_;
  std::uint64_t added_ = 0;
};

}  // namespace sluice::cache
