// SPDX-License-Identifier: Apache-2.0
#include "manage/memory_guest.h"

#include <gtest/gtest.h>

#include "manage/bytes.h"

namespace fairlead::manage {
namespace {

class MemoryGuestTest : public testing::Test {
 protected:
  MemoryGuestTest() {
    guest_.name = "a";
    reading_.state = ReportState::kFresh;
    reading_.known = true;
    reading_.size = 512 * kMebi;
    reading_.maximum = 2048 * kMebi;
    reading_.used = 300 * kMebi;
    reading_.usable = 212 * kMebi;
    state_.balloon.observe(reading_.size, 1, 3);
  }

  MemoryEntry entry(double elapsed_s = 2) {
    return make_entry(guest_, reading_, state_, settings_, 1, elapsed_s);
  }
  std::int64_t want(double elapsed_s = 2) { return entry(elapsed_s).want / kMebi; }

  GuestSample guest_;
  MemoryReading reading_;
  MemoryGuest state_;
  MemorySettings settings_;
};

TEST_F(MemoryGuestTest, WantsHeadroomForWhatItWillUseUntilTheNextChange) {
  EXPECT_EQ(want(), 300 + 100 + 16);
  reading_.growth = 20.0 * kMiB;
  EXPECT_EQ(want(), 300 + 100 + 16 + 90) << "1.5 x 20 x (2 + 0 + 1)";
  reading_.age_s = 2;
  EXPECT_EQ(want(), 300 + 100 + 16 + 150);
  EXPECT_EQ(want(5), 300 + 100 + 16 + 240);
}

TEST_F(MemoryGuestTest, OneStepIsNoRate) {
  reading_.growth = 5000.0 * kMiB;
  EXPECT_EQ(want(), 300 + 100 + 16 + 256);
  reading_.used = 1000 * kMebi;
  reading_.size = 1024 * kMebi;
  EXPECT_EQ(want(), 1000 + 100 + 20 + 500);
  reading_.used = 1800 * kMebi;
  EXPECT_EQ(want(), 2048);
}

TEST_F(MemoryGuestTest, KeepsFiftyMebibytesAndItsMinimum) {
  EXPECT_EQ(entry().keep, 350 * kMebi);
  reading_.used = 500 * kMebi;
  EXPECT_EQ(entry().keep, 512 * kMebi) << "a right to what it has, not to more";
  reading_.used = 10 * kMebi;
  EXPECT_EQ(entry().keep, 200 * kMebi);
}

TEST_F(MemoryGuestTest, WhoPagesAndIsShortWantsThatOnceMore) {
  reading_.paging = 50.0 * kMiB;
  EXPECT_EQ(want(), 300 + 100 + 16) << "it has room for what comes back";
  reading_.used = 470 * kMebi;
  reading_.usable = 42 * kMebi;
  EXPECT_EQ(want(), 470 + 100 + 16 + 58);
  EXPECT_EQ(entry().least(), (470 + 50 + 50) * kMebi);
  reading_.paging = 4.0 * kMiB;
  EXPECT_EQ(want(), 470 + 100 + 16 + 18) << "1.5 x 4 x (2 + 0 + 1)";
  EXPECT_EQ(entry().least(), (470 + 50 + 18) * kMebi);
  reading_.paging = 0;
  EXPECT_EQ(want(), 470 + 100 + 16);
}

// With the same to give, the one that pages is not taxed for what it does not show.
TEST_F(MemoryGuestTest, WhoPagesWeighsNoLess) {
  reading_.used = 470 * kMebi;
  reading_.usable = 42 * kMebi;
  const double before = claim_of(entry(), 0.75).weight;
  reading_.paging = 50.0 * kMiB;
  EXPECT_GE(claim_of(entry(), 0.75).weight, before);
}

TEST_F(MemoryGuestTest, WhoDoesNotReleaseMayStillGrowAndWhoDoesNotGrowMayNot) {
  for (const bool release : {true, false}) {
    SCOPED_TRACE(release);
    state_.balloon = {};
    state_.balloon.observe(reading_.size, 1, 3);
    state_.balloon.ask((release ? 412 : 612) * kMebi, 1);
    for (std::uint64_t interval = 2; interval <= 4; ++interval) {
      state_.balloon.observe(reading_.size, interval, 3);
    }
    ASSERT_TRUE(state_.balloon.newly_stuck());
    const MemoryEntry stuck = make_entry(guest_, reading_, state_, settings_, 4, 2);
    EXPECT_EQ(stuck.status, GuestMemoryStatus::kStuck);
    EXPECT_EQ(stuck.may_grow, release);
    EXPECT_FALSE(stuck.may_shrink);
  }
}

TEST_F(MemoryGuestTest, CountsAllThatAGuestWithoutADriverCanTouch) {
  reading_.state = ReportState::kNever;
  EXPECT_EQ(entry().status, GuestMemoryStatus::kDriverless);
  EXPECT_EQ(entry().promised(), 2048 * kMebi);
  EXPECT_FALSE(entry().managed());
}

}  // namespace
}  // namespace fairlead::manage
