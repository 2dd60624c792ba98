#include "actors/observe/histogram.hpp"

#include <algorithm>

namespace sluice::observe {

void histogram::merge(const histogram& other) noexcept {
  if (other.count_ == 0) return;
  if (buckets_.empty()) buckets_.resize(bucket_count);
  for (unsigned i = 0; i < bucket_count; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ns_ += other.sum_ns_;
  max_ns_ = std::max(max_ns_, other.max_ns_);
}

std::uint64_t histogram::quantile_ns(double fraction) const noexcept {
  if (count_ == 0) return 0;
  const double wanted = std::clamp(fraction, 0.0, 1.0) * static_cast<double>(count_);
  std::uint64_t seen = 0;
  for (unsigned i = 0; i < bucket_count; ++i) {
    seen += buckets_[i];
    if (seen > 0 && static_cast<double>(seen) >= wanted)
      return i + 1 == bucket_count ? max_ns_ : std::min(upper_edge(i), max_ns_);
  }
  return max_ns_;
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> histogram::parts() const {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
  for (unsigned i = 0; i < buckets_.size(); ++i)
    if (buckets_[i] != 0) all.emplace_back(upper_edge(i), buckets_[i]);
  return all;
}

std::uint64_t histogram::count_up_to(std::uint64_t value_ns) const noexcept {
  if (count_ == 0) return 0;
  std::uint64_t seen = 0;
  for (unsigned i = 0; i <= index_of(value_ns); ++i) seen += buckets_[i];
  return seen;
}

}  // namespace sluice::observe
