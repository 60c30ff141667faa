// SPDX-License-Identifier: Apache-2.0
#include "manage/memory_share.h"

#include <numeric>

#include <gtest/gtest.h>

#include "base/random.h"

namespace fairlead::manage {
namespace {

using Sizes = std::vector<std::int64_t>;

TEST(MemoryShare, GivesEverybodyWhatHeWantsWhereThereIsEnough) {
  const auto division = divide(
      1000, {{.min = 100, .keep = 200, .want = 300}, {.min = 100, .keep = 0, .want = 600}}, false);
  EXPECT_EQ(division.bytes, (Sizes{300, 600})) << "the rest stays with the host";
  EXPECT_FALSE(division.scarce || division.overdrawn);
}

TEST(MemoryShare, FillsByWeightAboveTheMinimum) {
  const auto division = divide(1000,
                               {{.min = 100, .keep = 0, .want = 5000, .weight = 1},
                                {.min = 300, .keep = 0, .want = 5000, .weight = 2}},
                               false);
  EXPECT_EQ(division.bytes, (Sizes{300, 700}));
  EXPECT_TRUE(division.scarce);
}

TEST(MemoryShare, WhoWantsLittleLeavesTheRestToTheOthers) {
  const auto division = divide(1000,
                               {{.min = 0, .keep = 0, .want = 100, .weight = 9},
                                {.min = 0, .keep = 0, .want = 2000, .weight = 1},
                                {.min = 0, .keep = 0, .want = 2000, .weight = 1}},
                               false);
  EXPECT_EQ(division.bytes, (Sizes{100, 450, 450}));
}

TEST(MemoryShare, WhatIsNeededGoesFirstAndReliefNext) {
  const std::vector<MemoryClaim> claims{
      {.min = 0, .keep = 300, .want = 900, .first = 500, .relief = 600, .weight = 1},
      {.min = 0, .keep = 300, .want = 900, .first = 400, .relief = 400, .weight = 9},
      {.min = 0, .keep = 200, .want = 250, .first = 700, .relief = 700, .weight = 1}};
  EXPECT_EQ(divide(975, claims, false).bytes, (Sizes{400, 350, 225})) << "half of what is needed";
  EXPECT_EQ(divide(1150, claims, false).bytes, (Sizes{500, 400, 250})) << "never more than wanted";
  EXPECT_EQ(divide(1200, claims, false).bytes, (Sizes{550, 400, 250}));
  EXPECT_EQ(divide(1300, claims, false).bytes, (Sizes{600, 450, 250})) << "the rest by weight";
  EXPECT_EQ(divide(700, claims, false).bytes, (Sizes{300, 300, 200})) << "there is nothing to give";
}

TEST(MemoryShare, TakesWhatMustBeKeptOnlyInAnEmergency) {
  const std::vector<MemoryClaim> claims{{.min = 100, .keep = 600, .want = 900},
                                        {.min = 100, .keep = 200, .want = 900}};
  auto division = divide(700, claims, false);
  EXPECT_TRUE(division.overdrawn);
  EXPECT_EQ(division.bytes, (Sizes{600, 200}));
  division = divide(700, claims, true);
  EXPECT_EQ(division.bytes, (Sizes{500, 200})) << "from the larger first";
  division = divide(50, claims, true);
  EXPECT_EQ(division.bytes, (Sizes{100, 100})) << "never below the minimum";
  EXPECT_TRUE(divide(-5, {}, true).bytes.empty());
}

TEST(MemoryShare, IdleMemoryCountsLess) {
  EXPECT_DOUBLE_EQ(share_weight(1000, 0.75, 100, 100), 1000);
  EXPECT_DOUBLE_EQ(share_weight(1000, 0.75, 0, 100), 250) << "Waldspurger: k = 1 / (1 - tax)";
  EXPECT_DOUBLE_EQ(share_weight(1000, 0, 0, 100), 1000);
  EXPECT_GT(share_weight(-1, 2, -5, 0), 0) << "whatever is asked";
}

TEST(MemoryShare, KeepsItsBoundsInRandomDivisions) {
  base::Random random(7);
  for (int round = 0; round < 5000; ++round) {
    std::vector<MemoryClaim> claims(1 + random.below(8));
    std::int64_t kept = 0;
    for (MemoryClaim& claim : claims) {
      claim.min = static_cast<std::int64_t>(random.below(300));
      claim.keep = static_cast<std::int64_t>(random.below(900));
      claim.want = static_cast<std::int64_t>(random.below(2000));
      claim.weight = 0.1 + random.unit() * 10;
      kept += std::max(claim.keep, std::min(claim.min, claim.want));
    }
    const auto pool = static_cast<std::int64_t>(random.below(8000));
    const bool critical = random.below(2) == 0;
    const auto division = divide(pool, claims, critical);
    ASSERT_EQ(division.bytes.size(), claims.size());
    const auto sum = std::accumulate(division.bytes.begin(), division.bytes.end(), std::int64_t{0});
    if (kept <= pool) {
      ASSERT_LE(sum, pool);
      ASSERT_TRUE(!division.scarce || sum > pool - static_cast<std::int64_t>(claims.size()));
    }
    for (std::size_t i = 0; i < claims.size(); ++i) {
      const auto& claim = claims[i];
      ASSERT_LE(division.bytes[i], std::max(claim.want, claim.keep));
      const bool taken = critical && division.overdrawn;
      ASSERT_GE(division.bytes[i], taken ? std::min(claim.min, claim.keep) : claim.keep);
    }
  }
}

}  // namespace
}  // namespace fairlead::manage
