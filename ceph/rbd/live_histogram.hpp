#pragma once
#include <array>
#include <atomic>
#include <cstdint>

#include "actors/observe/histogram.hpp"

namespace sluice::rbd {

/// Latencies that one thread records and any other may look at: the buckets of observe::histogram.
class live_histogram {
 public:
  /// The recording thread only.
  void record(std::uint64_t value_ns) noexcept {
    auto& bucket = buckets_[observe::histogram::index_of(value_ns)];
    bucket.store(bucket.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  std::uint64_t bucket(unsigned index) const noexcept { return buckets_[index].load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<std::uint64_t>, observe::histogram::bucket_count> buckets_{};
};

/// The counts of several histograms put together, for quantiles.
class counted_latencies {
 public:
  void add(const live_histogram& from) noexcept {
    for (unsigned i = 0; i < counts_.size(); ++i) counts_[i] += from.bucket(i);
  }
  std::uint64_t count() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t each : counts_) sum += each;
    return sum;
  }
  /// The upper edge of the bucket below which `fraction` of the values lie, in microseconds; 0 when there are none.
  double quantile_us(double fraction) const noexcept {
    const auto wanted = static_cast<double>(count()) * fraction;
    std::uint64_t seen = 0;
    for (unsigned i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (counts_[i] != 0 && static_cast<double>(seen) >= wanted)
        return static_cast<double>(observe::histogram::upper_edge(i)) / 1e3;
    }
    return 0;
  }

 private:
  std::array<std::uint64_t, observe::histogram::bucket_count> counts_{};
};

}  // namespace sluice::rbd
