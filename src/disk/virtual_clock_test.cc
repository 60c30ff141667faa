// SPDX-License-Identifier: Apache-2.0
#include "disk/virtual_clock.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "disk/dilation.h"

namespace fairlead::disk {
namespace {

TEST(VirtualClock, RunsKTimesSlower) {
  VirtualClock clock(1000, 8);
  EXPECT_EQ(clock.virtual_ns(1000), 0);
  EXPECT_EQ(clock.virtual_ns(9000), 1000);
  EXPECT_EQ(clock.real_ns(1000), 9000);
}

TEST(VirtualClock, NeverJumpsNorRunsBackwards) {
  base::Random random(1);
  VirtualClock clock(0, 1);
  std::int64_t now = 0;
  std::int64_t last = 0;
  for (int i = 0; i < 10'000; ++i) {
    now += static_cast<std::int64_t>(random.below(1'000'000));
    const std::int64_t before = clock.virtual_ns(now);
    EXPECT_GE(before, last);
    if (i % 10 == 0) {
      clock.set_k(0.1 + 10 * random.unit(), now);
      EXPECT_EQ(clock.virtual_ns(now), before);
    }
    last = before;
    // Who sleeps until then finds the virtual time come, but for the rounding of a double.
    const std::int64_t later = before + static_cast<std::int64_t>(random.below(1'000'000));
    EXPECT_NEAR(static_cast<double>(clock.virtual_ns(clock.real_ns(later)) - later), 0, 11);
  }
}

// Windows of requests of which `late` are.
bool window(Dilation& dilation, std::uint32_t late) {
  bool changed = false;
  for (std::uint32_t i = 0; i < Dilation::kWindow; ++i) changed |= dilation.answered(i < late);
  return changed;
}

TEST(Dilation, GrowsAboveOneInAHundredAndThenLooksAwayOnce) {
  Dilation dilation(1, false);
  EXPECT_FALSE(window(dilation, 20)) << "one in a hundred is none too many";
  EXPECT_TRUE(window(dilation, 21));
  EXPECT_DOUBLE_EQ(dilation.k(), 1.25);
  EXPECT_FALSE(window(dilation, 2000));
  EXPECT_TRUE(window(dilation, 2000));
}

TEST(Dilation, ShrinksAfterThreeCalmWindows) {
  Dilation dilation(1, false);
  EXPECT_FALSE(window(dilation, 1));
  EXPECT_FALSE(window(dilation, 1));
  EXPECT_TRUE(window(dilation, 1));
  EXPECT_DOUBLE_EQ(dilation.k(), 0.9);
  EXPECT_FALSE(window(dilation, 0));
  EXPECT_FALSE(window(dilation, 0));
  EXPECT_FALSE(window(dilation, 2)) << "one in a thousand is not fewer";
  EXPECT_FALSE(window(dilation, 0));
}

TEST(Dilation, HasARangeAndALock) {
  Dilation high(Dilation::kMost, false);
  EXPECT_FALSE(window(high, 2000));
  Dilation low(Dilation::kLeast, false);
  for (int i = 0; i < 10; ++i) window(low, 0);
  EXPECT_EQ(low.k(), Dilation::kLeast);
  Dilation locked(3, true);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(window(locked, 2000));
  EXPECT_EQ(locked.k(), 3);
}

}  // namespace
}  // namespace fairlead::disk
