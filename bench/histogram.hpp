#pragma once
#include <array>
#include <bit>
#include <cstdint>

namespace sluice::bench {

/// Latencies in ns, in log-linear buckets: exact below 128, then 64 buckets an octave, an error of at most 1.6 %.
class histogram {
 public:
  void add(std::uint64_t value_ns) {
    ++buckets_[index(value_ns)];
    ++count_;
    if (value_ns > max_) max_ = value_ns;
  }

  /// The least value that `fraction` of all do not exceed, up to the bucket's width; 0 when there is none.
  std::uint64_t quantile(double fraction) const {
    auto wanted = static_cast<std::uint64_t>(fraction * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > wanted) return upper_bound(i) < max_ ? upper_bound(i) : max_;
    }
    return max_;
  }

  std::uint64_t count() const { return count_; }
  std::uint64_t max() const { return max_; }

 private:
  static constexpr unsigned sub_bits = 6;

  static std::size_t index(std::uint64_t value) {
    auto octave = static_cast<unsigned>(std::bit_width(value | 1));
    if (octave <= sub_bits + 1) return value;
    unsigned shift = octave - sub_bits - 1;
    return (static_cast<std::size_t>(shift) << sub_bits) + (value >> shift);
  }
  static std::uint64_t upper_bound(std::size_t index) {
    if (index < 2u << sub_bits) return index;
    auto shift = (index >> sub_bits) - 1;
    return ((((index & ((1u << sub_bits) - 1)) | 1u << sub_bits) + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (65 - sub_bits) << sub_bits> buckets_{};
  std::uint64_t count_ = 0, max_ = 0;
};

}  // namespace sluice::bench
