// SPDX-License-Identifier: Apache-2.0
#include "relay/stamp.h"

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

TEST(StampTest, ItsRateIsMeasuredOnce) { EXPECT_EQ(stamp_hz(), stamp_hz()); }

}  // namespace
}  // namespace fairlead::relay
