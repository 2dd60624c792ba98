#pragma once
#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

namespace sluice::observe {

/// A latency histogram of fixed size with a relative error under 1/16: every power of two of nanoseconds is divided
/// into 16 equal buckets (log-linear, as HDR histograms). Covers 0 … 2^40 ns (18 minutes); longer counts as the last
/// bucket. One writer; others read a copy that the writer handed out. It takes its 5 KiB with the first value: most
/// units never see most kinds of commands.
class histogram {
 public:
  static constexpr unsigned sub_bits = 4;
  static constexpr unsigned sub_count = 1u << sub_bits;
  static constexpr unsigned top_bit = 40;
  static constexpr unsigned bucket_count = (top_bit - sub_bits + 1) * sub_count;

  void record(std::uint64_t value_ns) noexcept {
    if (buckets_.empty()) [[unlikely]]
      buckets_.resize(bucket_count);
    ++buckets_[index_of(value_ns)];
    ++count_;
    sum_ns_ += value_ns;
    if (value_ns > max_ns_) max_ns_ = value_ns;
  }

  /// Adds another core's counts.
  void merge(const histogram& other) noexcept;

  std::uint64_t count() const { return count_; }
  std::uint64_t sum_ns() const { return sum_ns_; }
  std::uint64_t max_ns() const { return max_ns_; }
  std::uint64_t mean_ns() const { return count_ ? sum_ns_ / count_ : 0; }
  /// The upper edge of the bucket below which `fraction` (0 … 1) of the values lie, at most max_ns(); 0 when empty.
  std::uint64_t quantile_ns(double fraction) const noexcept;
  /// Upper edge and count of each bucket that is not empty, in their order.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> parts() const;
  /// How many values were at most `value_ns`, up to the bucket's width: what a cumulative metric needs.
  std::uint64_t count_up_to(std::uint64_t value_ns) const noexcept;

  static constexpr unsigned index_of(std::uint64_t value_ns) noexcept {
    if (value_ns < sub_count) return static_cast<unsigned>(value_ns);
    const unsigned top = static_cast<unsigned>(std::bit_width(value_ns)) - 1;
    if (top >= top_bit) return bucket_count - 1;
    const unsigned within = static_cast<unsigned>(value_ns >> (top - sub_bits)) & (sub_count - 1);
    return (top - sub_bits + 1) * sub_count + within;
  }
  /// The largest value that falls into a bucket.
  static constexpr std::uint64_t upper_edge(unsigned bucket) noexcept {
    if (bucket < sub_count) return bucket;
    const unsigned shift = bucket / sub_count - 1;
    return ((std::uint64_t{sub_count + bucket % sub_count} + 1) << shift) - 1;
  }

 private:
  std::vector<std::uint64_t> buckets_;  // none, or all
  std::uint64_t count_ = 0;
  std::uint64_t sum_ns_ = 0;
  std::uint64_t max_ns_ = 0;
};

}  // namespace sluice::observe
