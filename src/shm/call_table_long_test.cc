// SPDX-License-Identifier: Apache-2.0
//
// The stress of call_table_stress_test.cc, long enough to meet what is rare.
#include <gtest/gtest.h>

#include "../../tests/model/stress.h"

namespace fairlead::shm {
namespace {

constexpr std::uint64_t kRequests = 10'000'000;

TEST(CallTableLong, EveryCallIsAnsweredAmongMany) {
  Stress stress({.requests = kRequests, .threads = 16, .poll_ns = 1'000'000, .pause_one_in = 4096});
  EXPECT_EQ(stress.run(), kRequests);
}

TEST(CallTableLong, EveryCallIsAnsweredOverManyRestarts) {
  Stress stress({.requests = kRequests / 10,
                 .threads = 8,
                 .poll_ns = 100'000,
                 .restart_every = 1000,
                 .pause_one_in = 512});
  EXPECT_EQ(stress.run(), kRequests / 10);
  EXPECT_GT(stress.restarts(), 500u);
}

}  // namespace
}  // namespace fairlead::shm
