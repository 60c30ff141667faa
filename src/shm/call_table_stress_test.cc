// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "../../tests/model/stress.h"

namespace fairlead::shm {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kRequests = 20'000;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr std::uint64_t kRequests = 20'000;
#else
constexpr std::uint64_t kRequests = 200'000;
#endif
#else
constexpr std::uint64_t kRequests = 200'000;
#endif

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
