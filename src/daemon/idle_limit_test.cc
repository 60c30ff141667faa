// SPDX-License-Identifier: Apache-2.0
#include "daemon/idle_limit.h"

#include <gtest/gtest.h>

namespace fairlead::daemon {
namespace {

TEST(IdleLimit, ExpiresAfterTheLimitWithoutATouch) {
  base::ManualClock clock;
  IdleLimit limit(clock, 300);
  EXPECT_EQ(limit.remaining_ns(), 300);
  clock.advance_ns(299);
  EXPECT_FALSE(limit.expired());
  limit.touch();
  clock.advance_ns(299);
  EXPECT_EQ(limit.remaining_ns(), 1);
  EXPECT_FALSE(limit.expired());
  clock.advance_ns(1);
  EXPECT_TRUE(limit.expired());
  clock.advance_ns(1'000);
  EXPECT_EQ(limit.remaining_ns(), 0);
}

TEST(IdleLimit, ZeroIsNever) {
  base::ManualClock clock;
  IdleLimit limit(clock, 0);
  clock.advance_ns(1'000'000'000'000);
  EXPECT_FALSE(limit.expired());
  EXPECT_LT(limit.remaining_ns(), 0);
}

}  // namespace
}  // namespace fairlead::daemon
