// SPDX-License-Identifier: Apache-2.0
#include "disk/depth_rule.h"

#include <gtest/gtest.h>

namespace fairlead::disk {
namespace {

constexpr DepthLimits kLimits{.min_depth = 8, .max_depth = 256, .window_ns = 10'000'000};

void arrive(DepthRule& rule, std::uint32_t client, int count, std::uint32_t cost = 1) {
  for (int i = 0; i < count; ++i) rule.arrived(client, cost);
}

TEST(DepthRule, OneActiveClientHasAllOfTheDepth) {
  DepthRule rule(4, kLimits);
  rule.add(0, 1);
  rule.add(1, 1000);
  EXPECT_EQ(rule.depth(0), 256u);
  arrive(rule, 0, 3);
  EXPECT_EQ(rule.depth(1'000'000), 256u);
}

// 16 outstanding of weight 1 among 1 + 3: 16 · 4 / 1 / 2 - 1 = 31; the other: 90 · 4 / 3 / 2 - 1.
TEST(DepthRule, HalfOfWhatTheLeastBackloggedClientHasWaitsHere) {
  DepthRule rule(4, kLimits);
  rule.add(0, 1);
  rule.add(1, 3);
  arrive(rule, 0, 16);
  arrive(rule, 1, 90);
  EXPECT_EQ(rule.depth(1'000'000), 31u);
}

TEST(DepthRule, StaysBetweenItsLimits) {
  DepthRule rule(4, kLimits);
  rule.add(0, 1);
  rule.add(1, 1);
  arrive(rule, 0, 1);
  arrive(rule, 1, 63);
  EXPECT_EQ(rule.depth(1'000'000), 8u);
  arrive(rule, 0, 5000);
  arrive(rule, 1, 5000);
  EXPECT_EQ(rule.depth(2'000'000), 256u);
}

TEST(DepthRule, ASecondClientLowersTheDepthAtOnce) {
  DepthRule rule(4, kLimits);
  rule.add(0, 1);
  rule.add(1, 1);
  arrive(rule, 0, 63);
  EXPECT_EQ(rule.depth(5'000'000), 256u);
  arrive(rule, 1, 1);
  EXPECT_EQ(rule.depth(5'000'001), 8u);
}

TEST(DepthRule, AClientCountsForOneToTwoWindowsAfterItsLastRequest) {
  DepthRule rule(4, kLimits);
  rule.add(0, 1);
  rule.add(1, 1);
  arrive(rule, 0, 63);
  EXPECT_EQ(rule.depth(10'000'000), 256u);
  arrive(rule, 1, 1);
  rule.finished(1);
  EXPECT_EQ(rule.depth(19'999'999), 8u);
  EXPECT_EQ(rule.depth(20'000'000), 8u);
  EXPECT_EQ(rule.depth(29'999'999), 8u);
  EXPECT_EQ(rule.depth(30'000'000), 256u);
  EXPECT_EQ(rule.active_clients(), 1u);
}

TEST(DepthRule, ARequestInFlightKeepsItsClientActiveHoweverLong) {
  DepthRule rule(4, kLimits);
  rule.add(0, 1);
  rule.add(1, 1);
  arrive(rule, 0, 63);
  arrive(rule, 1, 2);
  for (std::int64_t ms = 0; ms < 500; ms += 7) EXPECT_EQ(rule.depth(ms * 1'000'000), 8u);
  rule.finished(1, 2);
  for (std::int64_t ms = 500; ms < 530; ms += 7) rule.depth(ms * 1'000'000);
  EXPECT_EQ(rule.depth(530'000'000), 256u);
}

TEST(DepthRule, AfterALongSilenceOldPeaksAreForgotten) {
  DepthRule rule(4, kLimits);
  rule.add(0, 1);
  rule.add(1, 1);
  arrive(rule, 0, 63);
  arrive(rule, 1, 63);
  EXPECT_EQ(rule.depth(1'000'000), 62u);
  rule.finished(1, 43);
  EXPECT_EQ(rule.depth(1'000'000'000), 19u);
}

TEST(DepthRule, RemovedClientIsForgottenAtOnce) {
  DepthRule rule(4, kLimits);
  rule.add(0, 1);
  rule.add(1, 1);
  arrive(rule, 0, 63);
  arrive(rule, 1, 1);
  EXPECT_EQ(rule.depth(0), 8u);
  rule.remove(1);
  EXPECT_EQ(rule.depth(1), 256u);
}

// Costs 1 and 3 at equal weight: rates 1 and 1/3.  The first is the tighter: 32 · 4/3 / 2 - 1 = 20.
TEST(DepthRule, LargeRequestsNeedFewerPlaces) {
  DepthRule rule(4, kLimits);
  rule.add(0, 1);
  rule.add(1, 1);
  arrive(rule, 0, 32, 1);
  arrive(rule, 1, 32, 3);
  EXPECT_EQ(rule.depth(1'000'000), 20u);
}

}  // namespace
}  // namespace fairlead::disk
