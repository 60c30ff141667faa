// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <set>

#include <gtest/gtest.h>

namespace fairlead::base {
namespace {

TEST(Random, BelowReachesBothEndsAndNothingElse) {
  Random random(1);
  int hits[3] = {};
  for (int i = 0; i < 30'000; ++i) ++hits[random.below(3)];
  for (const int count : hits) EXPECT_NEAR(count, 10'000, 400);
}

// Computed apart from this code, after the algorithms' published text, so that a seed in a report
// means the same sequence for ever.
TEST(Random, TheSequenceOfASeedIsFrozen) {
  Random random(42);
  EXPECT_EQ(random.next(), 1546998764402558742u);
  EXPECT_EQ(random.next(), 6990951692964543102u);
  EXPECT_EQ(random.next(), 12544586762248559009u);
}

TEST(Random, ForksDiffer) {
  Random parent(1);
  std::set<std::uint64_t> firsts;
  for (int i = 0; i < 100; ++i) firsts.insert(parent.fork().next());
  EXPECT_EQ(firsts.size(), 100);
}

TEST(Random, UnitStaysBelowOne) {
  Random random(9);
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double value = random.unit();
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 1);
    sum += value;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.01);
}

}  // namespace
}  // namespace fairlead::base
