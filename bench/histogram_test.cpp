#include "bench/histogram.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <vector>

namespace sluice::bench {

TEST(histogram, empty_has_no_quantile) {
  EXPECT_EQ(histogram{}.quantile(0.5), 0u);
}

TEST(histogram, takes_the_largest_value) {
  histogram h;
  h.add(UINT64_MAX);
  EXPECT_EQ(h.quantile(1.0), UINT64_MAX);
  EXPECT_EQ(h.max(), UINT64_MAX);
}

TEST(histogram, quantiles_are_within_two_percent_of_the_sorted_values) {
  EXPECT_TRUE(rc::check([](const std::vector<std::uint32_t>& values) {
    RC_PRE(!values.empty());
    auto fraction = *rc::gen::element(0.0, 0.5, 0.9, 0.99);
    histogram h;
    for (auto value : values) h.add(value);
    auto sorted = values;
    std::sort(sorted.begin(), sorted.end());
    std::uint64_t exact = sorted[static_cast<std::size_t>(fraction * static_cast<double>(sorted.size()))];
    RC_ASSERT(h.quantile(fraction) >= exact);
    RC_ASSERT(h.quantile(fraction) <= exact + exact / 50);
  }));
}

}  // namespace sluice::bench
