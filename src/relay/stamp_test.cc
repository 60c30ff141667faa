// SPDX-License-Identifier: Apache-2.0
#include "relay/stamp.h"

#include <chrono>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"

namespace fairlead::relay {
namespace {

TEST(StampTest, NeverRunsBackwards) {
  std::uint64_t before = stamp();
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t now = stamp();
    ASSERT_GE(now, before);
    before = now;
  }
}

// Two stamps and the time between them, taken around each other: what an interruption adds lies
// between the outer and the inner time.
TEST(StampTest, ItsRateIsThatOfTheClock) {
  const double hz = static_cast<double>(stamp_hz());
  const std::uint64_t outer = monotonic_raw_ns();
  const std::uint64_t first = stamp();
  const std::uint64_t inner = monotonic_raw_ns();
  std::uint64_t inner_end = inner;
  while (inner_end - inner < 50 * base::kNanosPerMilli) inner_end = monotonic_raw_ns();
  const std::uint64_t last = stamp();
  const std::uint64_t outer_end = monotonic_raw_ns();
  const double took_ns = static_cast<double>(last - first) / hz * base::kNanosPerSecond;
  EXPECT_GE(took_ns, static_cast<double>(inner_end - inner) * 0.999);
  EXPECT_LE(took_ns, static_cast<double>(outer_end - outer) * 1.001);
}

TEST(StampTest, NanosecondsAndStampsAreTwoWordsForOneTime) {
  EXPECT_EQ(stamps_in(std::chrono::seconds(2)), 2 * stamp_hz());
  EXPECT_EQ(ns_in(3 * stamp_hz()), 3'000'000'000U);
  EXPECT_GE(ns_in(1), 1U) << "rounded up";
  EXPECT_EQ(ns_in(0), 0U);
  EXPECT_GE(ns_in(std::numeric_limits<std::uint64_t>::max()), std::uint64_t{1} << 32);
}

// What lies between two looks at the clock has a time between them, for as long as the bound says.
TEST(StampTest, AStampHasATimeOfTheMonotonicClockWithABoundThatHolds) {
  struct Moment {
    std::int64_t before;
    std::uint64_t stamp;
    std::int64_t after;
  };
  std::vector<Moment> moments;
  const std::int64_t end = base::monotonic_ns() + 40 * base::kNanosPerMilli;
  for (std::int64_t now = 0; now < end;) {
    const std::int64_t before = base::monotonic_ns();
    const std::uint64_t at = ordered_stamp();
    now = base::monotonic_ns();
    moments.push_back({before, at, now});
  }
  for (std::size_t i = 0; i < moments.size(); i += 1 + moments.size() / 1000) {
    const MonotonicTime time = monotonic_of(moments[i].stamp);
    const auto bound = static_cast<std::int64_t>(time.half_width_ns);
    ASSERT_GE(time.ns + bound, moments[i].before);
    ASSERT_LE(time.ns - bound, moments[i].after);
    ASSERT_LT(bound, 20 * base::kNanosPerMilli);
  }
}

TEST(StampTest, TheBoundGrowsWithTheDistance) {
  const std::uint64_t now = stamp();
  const auto second = static_cast<std::int64_t>(base::kNanosPerSecond);
  const MonotonicTime then = monotonic_of(now - 100 * stamp_hz());
  EXPECT_GE(then.half_width_ns, 100 * base::kNanosPerMilli);
  EXPECT_LT(then.half_width_ns, 200 * base::kNanosPerMilli);
  const MonotonicTime soon = monotonic_of(now + 100 * stamp_hz());
  EXPECT_GE(soon.half_width_ns, 50 * base::kNanosPerMilli);
  EXPECT_GT(soon.ns - then.ns, 199 * second);
  EXPECT_LT(soon.ns - then.ns, 201 * second);
}

// A producer may say anything.
TEST(StampTest, NoStampIsTooFarAway) {
  for (const std::uint64_t away : {std::uint64_t{1} << 63, (std::uint64_t{1} << 63) - 1}) {
    const MonotonicTime time = monotonic_of(stamp() + away);
    EXPECT_GE(time.half_width_ns, std::uint64_t{1} << 50);
  }
}

TEST(StampTest, ItsRateIsMeasuredOnce) { EXPECT_EQ(stamp_hz(), stamp_hz()); }

}  // namespace
}  // namespace fairlead::relay
