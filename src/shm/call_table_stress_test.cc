// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "../../tests/model/stress.h"
#include "base/sanitizers.h"

namespace fairlead::shm {
namespace {

constexpr std::uint64_t kRequests = base::kSanitized ? 20'000 : 200'000;

void expect_all(const StressOptions& options) {
  Stress stress(options);
  EXPECT_EQ(stress.run(), options.requests);
  EXPECT_EQ(stress.restarts() > 0, options.restart_every != 0);
}

TEST(CallTableStress, EveryCallIsAnsweredWhenAllSleep) {
  expect_all({.requests = kRequests / 4, .threads = 8, .poll_ns = 0});
}
TEST(CallTableStress, EveryCallIsAnsweredWhenTheLeaderPolls) {
  expect_all({.requests = kRequests, .threads = 8, .poll_ns = 1'000'000});
}
TEST(CallTableStress, EveryCallIsAnsweredOfMoreThreadsThanAWordHasMarks) {
  expect_all({.requests = kRequests / 10 / 80 * 80, .threads = 80, .poll_ns = 0});
}
TEST(CallTableStress, EveryCallIsAnsweredOverRestarts) {
  expect_all({.requests = kRequests / 4,
              .threads = 4,
              .poll_ns = 100'000,
              .restart_every = 100,
              .pause_one_in = 16});
}

}  // namespace
}  // namespace fairlead::shm
