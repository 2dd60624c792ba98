#include "actors/observe/histogram.hpp"

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>
#include <algorithm>
#include <vector>

namespace sluice::observe {
namespace {

TEST(histogram, buckets_cover_every_value_once_and_in_order) {
  for (unsigned i = 0; i + 1 < histogram::bucket_count; ++i) {
    EXPECT_EQ(histogram::index_of(histogram::upper_edge(i)), i);
    EXPECT_EQ(histogram::index_of(histogram::upper_edge(i) + 1), i + 1);
  }
  EXPECT_EQ(histogram::index_of(UINT64_MAX), histogram::bucket_count - 1);
}

TEST(histogram, tells_its_parts_in_order) {
  histogram h;
  EXPECT_TRUE(h.parts().empty());
  for (const std::uint64_t value : {1000u, 7u, 1001u}) h.record(value);
  const auto parts = h.parts();
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0], (std::pair<std::uint64_t, std::uint64_t>(7, 1)));
  EXPECT_EQ(parts[1].second, 2u);
  EXPECT_EQ(histogram::index_of(parts[1].first), histogram::index_of(1000));
}

TEST(histogram, empty) {
  const histogram h;
  EXPECT_EQ(h.quantile_ns(0.5), 0u);
  EXPECT_EQ(h.mean_ns(), 0u);
  EXPECT_EQ(h.count_up_to(1000), 0u);
  histogram one, other;
  one.merge(h);
  EXPECT_EQ(one.count(), 0u);
  other.record(7);
  one.merge(other);
  one.merge(h);
  EXPECT_EQ(one.quantile_ns(1), 7u);
}

RC_GTEST_PROP(histogram, quantiles_are_within_a_sixteenth, (std::vector<std::uint32_t> values)) {
  RC_PRE(!values.empty());
  histogram h, parts[2];
  for (std::size_t i = 0; i < values.size(); ++i) {
    h.record(values[i]);
    parts[i % 2].record(values[i]);
  }
  std::sort(values.begin(), values.end());
  for (double fraction : {0.0, 0.5, 0.9, 1.0}) {
    const auto rank = static_cast<std::size_t>(std::max(0.0, fraction * static_cast<double>(values.size()) - 1e-9));
    const std::uint64_t exact = values[std::min(rank, values.size() - 1)];
    RC_ASSERT(h.quantile_ns(fraction) >= exact - exact / 16);
    RC_ASSERT(h.quantile_ns(fraction) <= exact + exact / 16 + 1);
  }
  RC_ASSERT(h.count_up_to(values.back()) == values.size());
  parts[0].merge(parts[1]);
  RC_ASSERT(parts[0].count() == h.count());
  RC_ASSERT(parts[0].quantile_ns(0.5) == h.quantile_ns(0.5));
}

}  // namespace
}  // namespace sluice::observe
