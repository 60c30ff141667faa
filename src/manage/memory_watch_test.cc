// SPDX-License-Identifier: Apache-2.0
#include "manage/memory_watch.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "manage/bytes.h"

namespace fairlead::manage {
namespace {

using base::kNanosPerSecond;

class MemoryWatchTest : public testing::Test {
 protected:
  MemoryWatchTest() {
    sample_.wall_s = 1000;
    sample_.memory.total_bytes = 8000 * kMebi;
    sample_.memory.available_bytes = 5000 * kMebi;
    GuestSample guest;
    guest.uuid = "a";
    guest.name = "aos_1";
    guest.memory.emplace();
    guest.memory->current_bytes = 512 * kMebi;
    guest.memory->maximum_bytes = 2048 * kMebi;
    guest.memory->updated_s = 0;
    sample_.guests.push_back(guest);
  }

  BalloonSample& memory() { return *sample_.guests[0].memory; }
  MemoryRound pass(std::uint64_t actual_mib, std::uint64_t usable_mib) {
    sample_.at_ns += 2 * kNanosPerSecond;
    sample_.wall_s += 2;
    memory().current_bytes = actual_mib * kMebi;
    memory().usable_bytes = memory().unused_bytes = usable_mib * kMebi;
    memory().updated_s = sample_.wall_s;
    return watch_.look(sample_);
  }

  Sample sample_;
  MemoryWatch watch_{1};
};

TEST_F(MemoryWatchTest, ShowsWhatTheGuestSaidAndNoMoreThanItHas) {
  const MemoryRound first = watch_.look(sample_);
  EXPECT_EQ(first.elapsed_ns, 0);
  EXPECT_TRUE(first.guests[0].ask) << "it does not report yet";
  EXPECT_FALSE(first.guests[0].unused);
  const MemoryRound round = pass(512, 195);
  EXPECT_EQ(round.elapsed_ns, 2 * kNanosPerSecond);
  EXPECT_EQ(round.guests[0].state, ReportState::kFresh);
  EXPECT_FALSE(round.guests[0].ask);
  EXPECT_EQ(*round.guests[0].unused, 195 * kMebi);
  EXPECT_EQ(*pass(512, 4000).guests[0].usable, 512 * kMebi) << "a lie";
}

TEST_F(MemoryWatchTest, SummaryKnowsTheLeastAndTheLargest) {
  pass(512, 195);
  sample_.memory.available_bytes = 4000 * kMebi;
  pass(612, 99);
  sample_.memory.available_bytes = 4500 * kMebi;
  pass(500, 100);
  pass(450, 120);
  pass(450, 120);
  const MemoryWatchSummary sum = watch_.summary();
  EXPECT_EQ(sum.rounds, 4U);
  EXPECT_EQ(sum.least_host_available, 4000 * kMebi);
  ASSERT_EQ(sum.guests.size(), 1U);
  const MemoryWatchGuest& guest = sum.guests[0];
  EXPECT_EQ(guest.samples, 5U);
  EXPECT_EQ(guest.roomy, 4U);
  EXPECT_EQ(guest.least_usable, 99 * kMebi);
  EXPECT_EQ(guest.least_actual, 450 * kMebi);
  EXPECT_EQ(guest.most_actual, 612 * kMebi);
  EXPECT_EQ(guest.changes, 3U);
  EXPECT_EQ(guest.largest_shrink, 112 * kMebi);
}

TEST_F(MemoryWatchTest, StaleReportsAreShownAndNotCounted) {
  pass(512, 195);
  sample_.at_ns += 30 * kNanosPerSecond;
  sample_.wall_s += 30;
  const MemoryRound round = watch_.look(sample_);
  EXPECT_EQ(round.guests[0].state, ReportState::kStale);
  EXPECT_NEAR(round.guests[0].age_s, 30, 0.01);
  EXPECT_TRUE(round.guests[0].ask) << "its period may have been lost";
  EXPECT_EQ(watch_.summary().guests[0].samples, 1U);
}

TEST_F(MemoryWatchTest, GuestsWithoutABalloonAreNamed) {
  sample_.guests[0].memory.reset();
  const MemoryRound round = watch_.look(sample_);
  EXPECT_FALSE(round.guests[0].balloon);
  EXPECT_FALSE(round.guests[0].ask);
  EXPECT_TRUE(watch_.summary().guests.empty());
}

}  // namespace
}  // namespace fairlead::manage
