// SPDX-License-Identifier: Apache-2.0
#include "manage/balloon.h"

#include <gtest/gtest.h>

#include "manage/bytes.h"

namespace fairlead::manage {
namespace {

class BalloonTest : public testing::Test {
 protected:
  void see(std::int64_t size_mib) { balloon_.observe(size_mib * kMebi, ++interval_, 3); }
  void ask(std::int64_t mib, std::uint64_t late = 0) { balloon_.ask(mib * kMebi, interval_, late); }
  std::int64_t target() const { return balloon_.target() / kMebi; }
  std::int64_t promised() const { return balloon_.promised() / kMebi; }

  Balloon balloon_;
  std::uint64_t interval_ = 0;
};

TEST_F(BalloonTest, PromisesTheGreaterOfWishAndSize) {
  see(512);
  EXPECT_EQ(promised(), 512);
  ask(412);
  EXPECT_EQ(promised(), 512) << "what was asked back has not arrived";
  see(412);
  EXPECT_EQ(promised(), 412);
  ask(700);
  EXPECT_EQ(promised(), 700) << "granted is granted, arrived or not";
}

TEST_F(BalloonTest, AWishThatIsTakenBackMayStillComeTrue) {
  see(512);
  ask(900);
  see(600);
  ask(600);
  EXPECT_EQ(promised(), 900);
  see(640);
  EXPECT_FALSE(balloon_.moved_by_others()) << "it was on its way";
  see(600);
  EXPECT_EQ(promised(), 600);
}

TEST_F(BalloonTest, MayBeLargerThanItLooksForAWhileAfterItWasCalledBack) {
  see(512);
  ask(900);
  see(513);  // it may be anywhere up to 900
  ask(600, 2);
  see(513);
  EXPECT_EQ(promised(), 900);
  see(513);
  EXPECT_EQ(promised(), 900);
  see(600);
  EXPECT_EQ(promised(), 600);
  ask(500, 2);
  see(500);
  EXPECT_EQ(promised(), 500) << "it had arrived: what it gives back is free";
  ask(700);
  see(501);
  ask(650, 2);
  see(650);
  EXPECT_EQ(promised(), 700) << "not the 900 of long ago";
}

TEST_F(BalloonTest, ACallThatFailedChangesNothing) {
  see(512);
  ask(900);
  balloon_.take_back();
  EXPECT_EQ(promised(), 512);
  see(512);
  see(512);
  see(512);
  see(512);
  EXPECT_FALSE(balloon_.newly_stuck());
}

TEST_F(BalloonTest, IsStuckAfterThreeIntervalsWithoutATenth) {
  see(512);
  ask(412);
  see(505);
  see(505);
  EXPECT_FALSE(balloon_.newly_stuck());
  see(505);
  EXPECT_TRUE(balloon_.newly_stuck());
  EXPECT_TRUE(balloon_.stuck_shrinking());
  ask(505);
  for (int i = 0; i < 9; ++i) {
    see(505);
    EXPECT_TRUE(balloon_.stuck(interval_));
    EXPECT_FALSE(balloon_.newly_stuck());
  }
  see(505);
  EXPECT_FALSE(balloon_.stuck(interval_)) << "it gets another chance";
}

TEST_F(BalloonTest, TheSecondBackoffIsLonger) {
  see(512);
  for (const int backoff : {10, 20, 40, 80, 80}) {
    ask(412);
    for (int i = 0; i < 3; ++i) see(512);
    ASSERT_TRUE(balloon_.newly_stuck());
    ask(512);
    EXPECT_TRUE(balloon_.stuck(interval_ + static_cast<std::uint64_t>(backoff) - 1));
    EXPECT_FALSE(balloon_.stuck(interval_ + static_cast<std::uint64_t>(backoff)));
  }
}

TEST_F(BalloonTest, SlowIsNotStuck) {
  see(512);
  ask(412);
  for (int size = 500; size > 420; size -= 12) {
    see(size);
    see(size);
    EXPECT_FALSE(balloon_.newly_stuck());
  }
}

TEST_F(BalloonTest, NoticesSomebodyElsesWish) {
  see(512);
  see(800);
  EXPECT_TRUE(balloon_.moved_by_others());
  EXPECT_EQ(target(), 800);
  see(800);
  EXPECT_FALSE(balloon_.moved_by_others());
  ask(700);
  see(780);
  EXPECT_FALSE(balloon_.moved_by_others());
  see(950);
  EXPECT_TRUE(balloon_.moved_by_others()) << "it went away from where it was asked to go";
  EXPECT_EQ(promised(), 950);
}

}  // namespace
}  // namespace fairlead::manage
