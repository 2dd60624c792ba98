#pragma once
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace sluice::observe {

/// A latency histogram that one thread writes and any thread reads: each power of two of nanoseconds in four buckets.
class latency_counts {
 public:
  void record(std::uint64_t ns) noexcept {
    auto& bucket = buckets_[index_of(ns)];
    bucket.store(bucket.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void add(const latency_counts& other) noexcept {
    for (std::size_t i = 0; i < buckets_.size(); ++i)
      buckets_[i].fetch_add(other.buckets_[i].load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  /// The upper edge of the bucket that holds the quantile, ns; 0 when nothing was recorded.
  std::uint64_t quantile_ns(double fraction) const noexcept {
    std::uint64_t all = 0;
    for (const auto& bucket : buckets_) all += bucket.load(std::memory_order_relaxed);
    if (all == 0) return 0;
    const auto rank = static_cast<std::uint64_t>(fraction * static_cast<double>(all - 1)) + 1;
    std::uint64_t passed = 0;
    for (unsigned i = 0; i < buckets_.size(); ++i) {
      passed += buckets_[i].load(std::memory_order_relaxed);
      if (passed >= rank) return upper_edge(i);
    }
    return upper_edge(static_cast<unsigned>(buckets_.size()) - 1);
  }

 private:
  static unsigned index_of(std::uint64_t ns) noexcept {
    if (ns < 4) return static_cast<unsigned>(ns);
    const unsigned top = static_cast<unsigned>(std::bit_width(ns)) - 1;
    const unsigned index = (top - 1) * 4 + (static_cast<unsigned>(ns >> (top - 2)) & 3);
    return index < 160 ? index : 159;
  }
  static std::uint64_t upper_edge(unsigned bucket) noexcept {
    return bucket < 4 ? bucket : ((std::uint64_t{4 + bucket % 4} + 1) << (bucket / 4 - 1)) - 1;
  }
  std::array<std::atomic<std::uint64_t>, 160> buckets_{};
};

}  // namespace sluice::observe
