// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "disk/fit_error.h"
#include "disk/fit_trace.h"
#include "disk/nelder_mead.h"
#include "disk/robust_fit.h"

namespace fairlead::disk {
namespace {

TEST(FitError, IsWhatItsFormulasSay) {
  const FitError same = fit_error({1, 2, 3}, {1, 2, 3});
  EXPECT_EQ(same.rms_ns, 0);
  EXPECT_EQ(same.demerit, 0);
  EXPECT_EQ(same.relative, 0);
  // The same distribution in another order: no demerit, but errors.
  const FitError other = fit_error({1, 3}, {3, 1});
  EXPECT_EQ(other.demerit, 0);
  EXPECT_DOUBLE_EQ(other.rms_ns, 2);
  EXPECT_DOUBLE_EQ(other.relative, (2.0 + 2.0 / 3) / 2);
  const FitError late = fit_error({4, 2}, {5, 3});
  EXPECT_DOUBLE_EQ(late.mean_ns, 3);
  EXPECT_DOUBLE_EQ(late.demerit, 1.0 / 3);
  EXPECT_EQ(fit_error({}, {}).count, 0U);
}

TEST(RobustFit, IsNotTurnedByWildValues) {
  base::Random random(1);
  std::vector<FitPoint> points;
  for (int i = 0; i < 500; ++i) {
    const double x = random.unit();
    const double wild = i % 10 == 0 ? 1000 : 0;
    points.push_back({{1, x}, 5 + 3 * x + 0.1 * random.unit() - 0.05 + wild});
  }
  const auto line = robust_fit(points, 2);
  ASSERT_TRUE(line);
  EXPECT_NEAR((*line)[0], 5, 0.05);
  EXPECT_NEAR((*line)[1], 3, 0.05);
}

TEST(RobustFit, SaysWhatPointsDoNotTell) {
  const std::vector<FitPoint> same(10, FitPoint{{1, 2}, 3});
  EXPECT_FALSE(robust_fit(same, 2));
  EXPECT_FALSE(robust_fit({}, 1));
  const auto mean = robust_fit(same, 1);
  ASSERT_TRUE(mean);
  EXPECT_DOUBLE_EQ(mean->front(), 3);
}

TEST(NelderMead, FindsTheLeast) {
  // Rosenbrock's valley: narrow and bent.
  const auto valley = [](const std::vector<double>& at) {
    return 100 * std::pow(at[1] - at[0] * at[0], 2) + std::pow(1 - at[0], 2);
  };
  const Minimum least = nelder_mead(valley, {-1.2, 1}, {0.5, 0.5}, 2000);
  EXPECT_NEAR(least.at[0], 1, 1e-3);
  EXPECT_NEAR(least.at[1], 1, 2e-3);
  EXPECT_LT(least.value, 1e-6);
}

TEST(NelderMead, KeepsToItsCallsAndNeverGetsWorse) {
  int calls = 0;
  const auto slope = [&](const std::vector<double>& at) { return ++calls, at[0]; };
  const Minimum least = nelder_mead(slope, {5}, {1}, 50);
  EXPECT_LT(least.value, 5);
  EXPECT_LE(calls, 60);
}

RecordedRequest timed(std::int64_t dispatched_ns, std::int64_t ended_ns, std::uint64_t sector) {
  return {.arrived_ns = dispatched_ns,
          .dispatched_ns = dispatched_ns,
          .ended_ns = ended_ns,
          .sector = sector,
          .sector_count = 8};
}

TEST(FitTrace, CountsOnlyWhatWasAlone) {
  const RequestTrace trace{
      .name = "t",
      .requests = {timed(0, 10, 0),
                   timed(10, 30, 8),
                   timed(20, 35, 64),  // two in flight
                   timed(40, 50, 96),
                   timed(40, 50, 104),                                    // one transfer of two
                   {.arrived_ns = 60, .sector = 1, .sector_count = 1}}};  // without times
  const FitTrace alone = fit_trace(trace, FitQueue::kAlone);
  ASSERT_EQ(alone.transfers.size(), 4U);
  EXPECT_EQ(alone.untimed, 1U);
  EXPECT_EQ(alone.crowded, 2U);
  EXPECT_EQ(alone.counted, 2U);
  EXPECT_TRUE(alone.transfers[0].counts);
  EXPECT_FALSE(alone.transfers[1].counts);
  EXPECT_FALSE(alone.transfers[2].counts);
  EXPECT_EQ(alone.transfers[3].sector_count, 16U);
  const FitTrace line = fit_trace(trace, FitQueue::kInLine);
  EXPECT_EQ(line.counted, 4U);
  EXPECT_EQ(line.transfers[2].begin_ns, 30);
}

TEST(FitTrace, HoldsOutTheLastThird) {
  RequestTrace trace{.name = "t", .requests = {}};
  for (int i = 0; i < 9; ++i) trace.requests.push_back(timed(10 * i, 10 * i + 5, 8));
  const FitTrace fit = fit_trace(trace, FitQueue::kAlone);
  EXPECT_TRUE(fit.trains(5) && !fit.tests(5));
  EXPECT_TRUE(fit.tests(6) && !fit.trains(6));
}

}  // namespace
}  // namespace fairlead::disk
