// SPDX-License-Identifier: Apache-2.0
#include "base/histogram.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"

namespace fairlead::base {
namespace {

constexpr double kQuantiles[] = {0.0, 1e-4, 0.01, 0.07, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0};

std::uint64_t exact_quantile(const std::vector<std::uint64_t>& sorted, double q) {
  const double rank = std::ceil(q * static_cast<double>(sorted.size()) - 1e-6);
  return sorted[rank < 1 ? 0 : static_cast<std::size_t>(rank) - 1];
}

struct Distribution {
  std::string name;
  std::function<std::uint64_t(Random&)> draw;
};

const std::vector<Distribution>& distributions() {
  static const std::vector<Distribution> all = {
      {"small", [](Random& r) { return r.below(64); }},
      {"edges", [](Random& r) { return (std::uint64_t{1} << r.below(64)) - r.below(2); }},
      {"uniform", [](Random& r) { return r.below(10'000'000); }},
      {"whole", [](Random& r) { return r.next(); }},
      {"log-uniform", [](Random& r) { return r.next() >> r.below(64); }},
      {"exponential",
       [](Random& r) { return static_cast<std::uint64_t>(-80'000 * std::log(1 - r.unit())); }},
      {"bimodal", [](Random& r) { return r.below(10) == 0 ? 8'000'000 + r.below(100) : 4'000; }},
      {"constant", [](Random&) { return std::uint64_t{123'456'789}; }},
  };
  return all;
}

TEST(Histogram, QuantilesLieWithinTheStatedErrorOfTheExactOnes) {
  for (const auto& distribution : distributions()) {
    for (const std::size_t n : {1, 2, 100, 20'000}) {
      Random random(n);
      Histogram histogram;
      std::vector<std::uint64_t> values(n);
      for (auto& value : values) histogram.record(value = distribution.draw(random));
      std::ranges::sort(values);
      EXPECT_EQ(histogram.count(), n);
      EXPECT_EQ(histogram.min(), values.front());
      EXPECT_EQ(histogram.max(), values.back());
      for (const double q : kQuantiles) {
        const std::uint64_t exact = exact_quantile(values, q);
        const std::uint64_t got = histogram.quantile(q);
        const std::uint64_t error = got > exact ? got - exact : exact - got;
        EXPECT_LE(error, exact / 128) << distribution.name << " n=" << n << " q=" << q
                                      << " exact=" << exact << " got=" << got;
      }
    }
  }
}

TEST(Histogram, MergedIsRecordedInOne) {
  Random random(2);
  Histogram whole;
  Histogram parts[3];
  for (int i = 0; i < 30'000; ++i) {
    const std::uint64_t value = random.next() >> random.below(64);
    whole.record(value);
    parts[random.below(3)].record(value);
  }
  Histogram merged;
  for (const auto& part : parts) merged.merge(part);
  merged.merge(Histogram());  // nothing, not even its min and max
  EXPECT_EQ(merged.count(), whole.count());
  EXPECT_EQ(merged.min(), whole.min());
  EXPECT_EQ(merged.max(), whole.max());
  EXPECT_EQ(merged.mean(), whole.mean());
  for (int i = 0; i <= 1000; ++i) EXPECT_EQ(merged.quantile(i / 1e3), whole.quantile(i / 1e3));
}

TEST(Histogram, EmptyAnswersZero) {
  Histogram histogram;
  histogram.record(7);
  histogram.clear();
  EXPECT_EQ(histogram.count(), 0);
  EXPECT_EQ(histogram.min(), 0);
  EXPECT_EQ(histogram.max(), 0);
  EXPECT_EQ(histogram.mean(), 0);
  EXPECT_EQ(histogram.quantile(0.5), 0);
}

TEST(Histogram, TheMeanIsExactWhereASumOfNanosecondsWouldOverflow) {
  constexpr std::uint64_t kTop = std::numeric_limits<std::uint64_t>::max();
  Histogram histogram;
  histogram.record(kTop, 1'000'000);
  EXPECT_EQ(histogram.mean(), static_cast<double>(kTop));
  EXPECT_EQ(histogram.quantile(0.5), kTop);
}

TEST(Histogram, RecordingManyTimesIsRecordingOften) {
  Histogram once;
  Histogram often;
  once.record(1000, 3);
  once.record(5, 0);
  for (int i = 0; i < 3; ++i) often.record(1000);
  EXPECT_EQ(once.count(), often.count());
  EXPECT_EQ(once.min(), often.min());
  EXPECT_EQ(once.mean(), often.mean());
}

TEST(Histogram, AQuantileOutsideZeroToOneIsCut) {
  Histogram histogram;
  histogram.record(10);
  histogram.record(2000);
  EXPECT_EQ(histogram.quantile(-1), 10);
  EXPECT_EQ(histogram.quantile(7), 2000);
  EXPECT_EQ(histogram.quantile(std::numeric_limits<double>::quiet_NaN()), 10);
}

TEST(Summary, AgreesWithTwoPasses) {
  Random random(3);
  std::vector<double> values(10'000);
  Summary summary;
  // A large offset with a small spread: where the sum-of-squares formula loses every digit.
  for (auto& value : values) summary.add(value = 1e9 + random.unit());
  const auto mean =
      static_cast<double>(std::accumulate(values.begin(), values.end(), 0.0L) / 10'000);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  EXPECT_EQ(summary.count(), 10'000);
  EXPECT_EQ(summary.min(), *std::ranges::min_element(values));
  EXPECT_EQ(summary.max(), *std::ranges::max_element(values));
  EXPECT_NEAR(summary.mean(), mean, 1e-5);
  EXPECT_NEAR(summary.variance(), squares / 9999, 1e-6);
  EXPECT_NEAR(summary.standard_deviation(), std::sqrt(1.0 / 12), 5e-3);
}

TEST(Summary, MergedIsAddedInOne) {
  Random random(4);
  Summary whole;
  Summary parts[4];
  for (int i = 0; i < 10'000; ++i) {
    const double value = 100 * random.unit() - (i % 7 == 0 ? 1000 : 0);
    whole.add(value);
    parts[i % 3].add(value);  // the fourth stays empty
  }
  Summary merged;
  for (const auto& part : parts) merged.merge(part);
  EXPECT_EQ(merged.count(), whole.count());
  EXPECT_EQ(merged.min(), whole.min());
  EXPECT_EQ(merged.max(), whole.max());
  EXPECT_NEAR(merged.mean(), whole.mean(), 1e-9);
  EXPECT_NEAR(merged.variance(), whole.variance(), whole.variance() * 1e-12);
}

TEST(Summary, MergingNothingChangesNothing) {
  Summary summary;
  summary.add(5);
  summary.add(7);
  summary.merge(Summary());
  EXPECT_EQ(summary.min(), 5);
  EXPECT_EQ(summary.mean(), 6);
  Summary empty;
  empty.merge(summary);
  EXPECT_EQ(empty.min(), 5);
  EXPECT_EQ(empty.variance(), 2);
}

TEST(Summary, OfNoneAndOne) {
  Summary summary;
  EXPECT_EQ(summary.mean(), 0);
  EXPECT_EQ(summary.standard_deviation(), 0);
  summary.add(-3);
  EXPECT_EQ(summary.min(), -3);
  EXPECT_EQ(summary.max(), -3);
  EXPECT_EQ(summary.variance(), 0);
}

}  // namespace
}  // namespace fairlead::base
