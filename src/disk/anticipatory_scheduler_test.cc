// SPDX-License-Identifier: Apache-2.0
#include "disk/anticipatory_scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "disk/testing_scheduler.h"

namespace fairlead::disk {
namespace {

constexpr std::uint64_t kNear = 1'000'000;

TEST(Anticipatory, TheDiskWaitsForAReaderThatIsSoonBack) {
  ByHand disk("anticipatory");
  const auto next = disk.stroll(0, kNear, 0, 6, 1000);
  disk.read(1, kFar);
  EXPECT_EQ(disk.next(), fmt::format("wait until {}", disk.now_us() + 6666));
  disk.after(1000).read(0, next);
  EXPECT_EQ(disk.next(), std::to_string(next));
  EXPECT_EQ(disk.next(), "idle") << "and again, from the end of that read on";
  disk.after(2000).done();
  EXPECT_EQ(disk.next(), fmt::format("wait until {}", disk.now_us() + 6666));
}

TEST(Anticipatory, AReaderThatDoesNotComeIsWaitedForNoLongerThanAnticExpire) {
  ByHand disk("anticipatory:antic_expire=4ms");
  disk.stroll(0, kNear, 0, 6, 1000);
  disk.read(1, kFar);
  EXPECT_EQ(disk.next(), fmt::format("wait until {}", disk.now_us() + 4000));
  disk.after(3999);
  EXPECT_EQ(disk.next(), fmt::format("wait until {}", disk.now_us() + 1));
  disk.after(1);
  EXPECT_EQ(disk.next(), std::to_string(kFar));
}

TEST(Anticipatory, AReaderThatThinksForLongIsNotWaitedFor) {
  ByHand disk("anticipatory");
  const auto next = disk.stroll(0, kNear, 0, 6, 9000);
  disk.read(1, kFar);
  EXPECT_EQ(disk.next(), std::to_string(kFar));
  disk.after(2000).done();
  const auto later = disk.after(7000).stroll(0, next, 0, 12, 500);
  disk.read(1, kFar + 80);
  EXPECT_THAT(disk.next(), testing::StartsWith("wait")) << "now that it thinks for less";
  disk.read(0, later);
  EXPECT_EQ(disk.next(), std::to_string(later));
}

// A process is seen to read for the first time; what others did then is what there is to go by.
TEST(Anticipatory, ANewReaderIsExpectedToDoWhatNewReadersDid) {
  const auto answer = [](std::int64_t think_us) {
    ByHand disk("anticipatory");
    for (std::uint32_t process = 2; process < 14; ++process) {
      disk.after(7000).stroll(process, process * 80'000, 0, 2, think_us);
    }
    disk.after(7000).stroll(0, kNear, 0, 1, 0);
    disk.read(1, kFar);
    return disk.next().substr(0, 4);
  };
  EXPECT_EQ(answer(1000), "wait");
  EXPECT_EQ(answer(15'000), "5000");
}

TEST(Anticipatory, ACloseReadOfAnotherEndsTheWait) {
  const auto answer = [](std::int64_t waited_us, std::int64_t distance) {
    ByHand disk("anticipatory");
    const auto head = disk.stroll(0, kNear, 0, 12, 1000);
    disk.read(1, kFar);
    disk.next();
    disk.after(waited_us).read(
        2, static_cast<std::uint64_t>(static_cast<std::int64_t>(head) + distance));
    return !disk.next().starts_with("wait");
  };
  EXPECT_TRUE(answer(100, 8192));
  EXPECT_FALSE(answer(100, 8193));
  EXPECT_TRUE(answer(100, -4096));
  EXPECT_FALSE(answer(100, -4097));
  EXPECT_TRUE(answer(4000, 16384)) << "twice as far after a tick";
  EXPECT_FALSE(answer(4000, 16385));
}

TEST(Anticipatory, AReadNearerThanTheReaderGoesItselfEndsTheWait) {
  const auto answer = [](std::uint64_t distance) {
    ByHand disk("anticipatory");
    const auto head = disk.stroll(0, kNear, 50'000, 40, 1000) - 50'000;
    disk.read(1, kFar * 2);
    disk.next();
    disk.after(100).read(2, head + distance);
    return !disk.next().starts_with("wait");
  };
  EXPECT_TRUE(answer(49'000));
  EXPECT_FALSE(answer(60'000));
}

TEST(Anticipatory, AReaderThatHasMoreIsNotWaitedFor) {
  ByHand disk("anticipatory");
  const auto next = disk.stroll(0, kNear, 0, 6, 1000);
  disk.write(0, next).read(1, kFar);
  EXPECT_EQ(disk.next(), std::to_string(kFar));
}

TEST(Anticipatory, WritesWaitForTheReaderTooButItsOwnDoNot) {
  ByHand disk("anticipatory");
  const auto next = disk.stroll(0, kNear, 0, 6, 1000);
  disk.write(1, next + 80);
  EXPECT_THAT(disk.next(), testing::StartsWith("wait")) << "close or not";
  disk.after(100).write(2, next + 800);
  EXPECT_THAT(disk.next(), testing::StartsWith("wait"));
  disk.after(500).write(0, kFar);
  EXPECT_EQ(disk.next(), std::to_string(next + 80));
}

TEST(Anticipatory, WritesAreServedWhenReadsHaveHadTheirTime) {
  ByHand disk("anticipatory:antic_expire=0ms");
  disk.read(0, kNear).read(1, kFar);
  disk.write(2, 80);
  std::uint64_t sector = kNear;
  std::int64_t written_us = -1;
  for (int i = 0; i < 200 && written_us < 0; ++i) {
    if (disk.next() == "80") written_us = disk.now_us();
    disk.read(0, sector += 800);
    disk.after(10'000).done();
  }
  EXPECT_GT(written_us, 500'000);
  EXPECT_LT(written_us, 540'000);
}

TEST(Anticipatory, ABatchBeginsWhenTheOneBeforeHasEnded) {
  ByHand disk("anticipatory:antic_expire=0ms");
  disk.read(0, kNear);
  EXPECT_EQ(disk.next(), std::to_string(kNear));
  disk.write(1, 80);
  EXPECT_EQ(disk.next(), "idle") << "the read is at the disk";
  disk.after(2000).done();
  EXPECT_EQ(disk.next(), "80");
}

// How many writes are served between two batches of reads, each taking `write_us`.
std::vector<int> write_batches(std::int64_t write_us, std::size_t count) {
  ByHand disk("anticipatory:antic_expire=0ms,read_batch_expire=1ms");
  for (std::uint64_t i = 0; i < 100; ++i) disk.write(1, i * 80);
  std::uint64_t sector = kNear;
  disk.read(0, sector);
  std::vector<int> batches{0};
  for (int i = 0; i < 400 && batches.size() <= count + 1; ++i) {
    const bool read = std::stoull(disk.next()) >= kNear;
    if (!read) ++batches.back();
    if (read && batches.back() > 0) batches.push_back(0);
    disk.after(read ? 1000 : write_us).done();
    if (read) disk.read(0, sector += 8000);
  }
  batches.resize(count);
  return batches;
}

TEST(Anticipatory, ABatchOfWritesGrowsUntilItFillsItsTime) {
  EXPECT_THAT(write_batches(1000, 4), testing::ElementsAre(3, 6, 12, 24));
  EXPECT_THAT(write_batches(60'000, 4), testing::ElementsAre(3, 2, 3, 2));
}

TEST(Anticipatory, AnOverdueReadGoesFirst) {
  ByHand disk("anticipatory:antic_expire=7ms");
  disk.read(0, kNear);
  disk.next();
  disk.read(1, 80);  // far behind
  std::uint64_t sector = kNear;
  std::int64_t served_us = -1;
  for (int i = 0; i < 100 && served_us < 0; ++i) {
    disk.read(0, sector += 800);
    disk.after(10'000).done();
    if (disk.next() == "80") served_us = disk.now_us();
  }
  EXPECT_GT(served_us, 125'000);
  EXPECT_LE(served_us, 260'000) << "the oldest is looked at every 125 ms";
}

TEST(Anticipatory, ShortWaysBackCountTwiceLongOnesAreForTheNextRound) {
  ByHand disk("anticipatory:antic_expire=0ms");
  disk.read(0, 3'000'000);
  disk.next();
  for (const int sector : {2'999'000, 3'001'500, 3'009'000, 1'900'000, 1'000'000}) {
    disk.read(1, static_cast<std::uint64_t>(sector));
  }
  disk.done();
  EXPECT_EQ(disk.serve(100), "3001500 2999000 3009000 1000000 1900000");
}

TEST(Anticipatory, OfTwoThatCountTheSameTheHigherGoesFirst) {
  for (const bool higher_comes_first : {true, false}) {
    ByHand disk("anticipatory:antic_expire=0ms");
    disk.read(0, 3'000'000);
    disk.next();
    disk.read(1, higher_comes_first ? 3'002'008 : 2'999'008);
    disk.read(1, higher_comes_first ? 2'999'008 : 3'002'008);
    disk.done();
    EXPECT_EQ(disk.next(), "3002008");
  }
}

TEST(Anticipatory, AdjacentRequestsOfOneKindGoAsOne) {
  ByHand disk("anticipatory:antic_expire=0ms");
  disk.read(0, 16);
  EXPECT_EQ(disk.next(), "16");
  disk.read(0, 116).read(0, 100).read(1, 108).write(0, 124);
  disk.after(2000).done();
  EXPECT_EQ(disk.next(), "100");
  EXPECT_EQ(disk.sectors(), 24U);
}

TEST(Anticipatory, EveryRequestIsServedOnce) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (const char* const spec : {"anticipatory", "anticipatory:antic_expire=0ms",
                                   "anticipatory:antic_expire=4ms,think_tick=4ms"}) {
      EXPECT_THAT(times_served(spec, seed), testing::Each(1)) << spec << ", seed " << seed;
    }
  }
}

}  // namespace
}  // namespace fairlead::disk
