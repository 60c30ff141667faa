// SPDX-License-Identifier: Apache-2.0
#include "disk/cfq_scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "disk/testing_scheduler.h"

namespace fairlead::disk {
namespace {

std::string wait_for(const ByHand& disk, std::int64_t us) {
  return fmt::format("wait until {}", disk.now_us() + us);
}

TEST(Cfq, AReaderThatIsSoonBackKeepsTheDiskForItsTurn) {
  ByHand disk("cfq");
  disk.read(0, 0);
  disk.next();
  disk.read(1, kFar);
  std::uint64_t sector = 0;
  std::int64_t other_us = -1;
  for (int i = 0; i < 100 && other_us < 0; ++i) {
    disk.after(2000).done();
    const std::string answer = disk.next();
    if (answer == std::to_string(kFar)) {
      other_us = disk.now_us();
    } else {
      EXPECT_EQ(answer, wait_for(disk, 8000));
      disk.after(1000).read(0, sector += 8);
      EXPECT_EQ(disk.next(), std::to_string(sector));
    }
  }
  EXPECT_GE(other_us, 102'000) << "the turn is 100 ms from its first completion on, at 2 ms";
  EXPECT_LT(other_us, 106'000);
}

TEST(Cfq, TurnsRotate) {
  ByHand disk("cfq:quantum=1");
  for (std::uint64_t i = 0; i < 30; ++i) {
    for (std::uint32_t owner = 0; owner < 3; ++owner) disk.read(owner, owner * kFar + i * 800);
  }
  std::string turns;
  for (int i = 0; i < 75; ++i) {
    const char owner = static_cast<char>('0' + std::stoull(disk.next()) / kFar);
    if (turns.empty() || turns.back() != owner) turns += owner;
    disk.after(8000).done();
  }
  EXPECT_EQ(turns, "012012") << "14 of 30 in a turn";
}

TEST(Cfq, AReaderThatDoesNotComeIsWaitedForNoLongerThanSliceIdle) {
  ByHand disk("cfq");
  disk.stroll(0, 0, 0, 5, 1000);
  disk.read(1, kFar);
  EXPECT_EQ(disk.next(), wait_for(disk, 8000));
  disk.after(7999);
  EXPECT_EQ(disk.next(), wait_for(disk, 1));
  disk.after(1);
  EXPECT_EQ(disk.next(), std::to_string(kFar));
}

TEST(Cfq, AReaderThatThinksForLongIsNotWaitedFor) {
  ByHand disk("cfq");
  disk.stroll(0, 0, 0, 12, 9000);
  disk.read(1, kFar);
  EXPECT_EQ(disk.next(), std::to_string(kFar));
}

TEST(Cfq, TwoOrThreeRequestsDoNotTellHowLongAReaderThinks) {
  const auto answer = [](int requests) {
    ByHand disk("cfq");
    disk.stroll(0, 0, 0, 1, 0);
    disk.after(100'000).stroll(0, 8, 0, requests - 1, 16'000);
    disk.read(1, kFar);
    return disk.next().substr(0, 4);
  };
  EXPECT_EQ(answer(2), "wait");
  EXPECT_EQ(answer(3), "5000");
}

TEST(Cfq, AReaderThatGoesFarIsWaitedForShortlyAndOnADeepDiskNotAtAll) {
  constexpr std::uint64_t kStep = 100'000;
  const auto walk = [](ByHand& disk) {
    disk.after(1'000'000).stroll(0, 10 * kStep, kStep, 12, 500);
    disk.read(1, 3 * kFar);
    return disk.next();
  };
  ByHand deep("cfq");
  EXPECT_EQ(walk(deep), std::to_string(3 * kFar)) << "taken for deep until there is more to go by";
  // With six waiting and one at the disk at a time it is not.
  ByHand shallow("cfq:quantum=1");
  for (std::uint64_t i = 0; i < 60; ++i) shallow.read(2, i * 800).read(3, kFar + i * 800);
  shallow.serve(1000);
  shallow.after(10'000).serve(1000);
  const std::string answer = walk(shallow);
  EXPECT_EQ(answer, wait_for(shallow, 2000));
}

TEST(Cfq, TheDiskDoesNotWaitWhileSomethingIsAtIt) {
  ByHand disk("cfq:slice_sync=20ms");
  disk.read(0, 0);
  disk.next();
  disk.after(2000).done().read(0, 8).read(0, 800).read(1, kFar);
  EXPECT_EQ(disk.next(), "8");
  EXPECT_EQ(disk.next(), "800");
  EXPECT_EQ(disk.next(), "idle") << "more of this reader may come";
  disk.after(2000).done();
  EXPECT_EQ(disk.next(), "idle");
  disk.after(1000).done();
  EXPECT_EQ(disk.next(), wait_for(disk, 8000));
}

TEST(Cfq, ACloseRequestOfAnotherEndsTheWait) {
  const auto served = [](std::uint64_t distance) {
    ByHand disk("cfq:drain=0");
    const auto head = disk.stroll(0, 0, 1000, 12, 1000) - 1000;
    disk.read(1, kFar);
    EXPECT_EQ(disk.next(), wait_for(disk, 8000));
    disk.after(100).read(2, head + distance);
    return disk.next() == std::to_string(head + distance);
  };
  EXPECT_TRUE(served(900));
  EXPECT_FALSE(served(1100)) << "further than the reader goes itself";
}

TEST(Cfq, ATurnBeginsWithItsFirstCompletion) {
  ByHand disk("cfq:quantum=1,drain=0");
  for (std::uint64_t i = 0; i < 30; ++i) disk.read(0, i * 800);
  disk.read(1, kFar);
  disk.next();
  disk.after(70'000).done();
  std::int64_t other_us = -1;
  while (other_us < 0) {
    if (disk.next() == std::to_string(kFar)) other_us = disk.now_us();
    disk.after(5000).done();
  }
  EXPECT_EQ(other_us, 170'000);
}

TEST(Cfq, AReadInterruptsATurnOfWrites) {
  ByHand disk("cfq:quantum=1,drain=0");
  for (std::uint64_t i = 0; i < 10; ++i) disk.write(0, i * 800);
  EXPECT_EQ(disk.next(), "0");
  disk.after(2000).done();
  EXPECT_EQ(disk.next(), "800");
  disk.read(1, kFar).after(2000).done();
  EXPECT_EQ(disk.next(), std::to_string(kFar));
}

TEST(Cfq, ATurnOfWritesHasNoMoreThanSoManyWhileOthersWait) {
  ByHand disk("cfq:drain=0");
  for (std::uint64_t i = 0; i < 30; ++i) disk.write(0, i * 800);
  disk.read(1, kFar);
  int writes = 0;
  for (; disk.next() != std::to_string(kFar); ++writes) disk.after(1000).done();
  EXPECT_EQ(writes, 16);
}

TEST(Cfq, WritesWaitForReadsAtTheDisk) {
  ByHand disk("cfq:slice_idle=0ms");
  disk.read(0, 0);
  EXPECT_EQ(disk.next(), "0");
  disk.write(1, kFar);
  EXPECT_EQ(disk.next(), "idle");
  disk.after(2000).done();
  EXPECT_EQ(disk.next(), std::to_string(kFar));
}

TEST(Cfq, WritesAreNotStarvedByAReaderThatNeverStops) {
  ByHand disk("cfq");
  disk.read(0, 0).write(1, kFar);
  std::uint64_t sector = 0;
  std::int64_t written_us = -1;
  for (int i = 0; i < 200 && written_us < 0; ++i) {
    const std::string answer = disk.next();
    if (answer == std::to_string(kFar)) written_us = disk.now_us();
    if (answer.starts_with("wait")) {
      disk.after(1000).read(0, sector += 8);
    } else {
      disk.after(2000).done();
    }
  }
  EXPECT_GT(written_us, 100'000);
  EXPECT_LT(written_us, 350'000);
}

TEST(Cfq, AnOverdueRequestGoesFirstOnceInATurn) {
  const auto order = [](std::int64_t waited_us) {
    ByHand disk("cfq:quantum=1,drain=0");
    disk.read(0, kFar);
    disk.next();
    disk.read(1, kFar + 9000).read(1, kFar + 6000).read(1, kFar + 3000);
    disk.after(waited_us).done();
    disk.after(8000);  // reader 0 does not come back
    return disk.serve(1000);
  };
  EXPECT_EQ(order(116'999), "5003000 5006000 5009000");
  EXPECT_EQ(order(117'000), "5009000 5003000 5006000");
}

TEST(Cfq, RequestsOfOneReaderAreMergedThoseOfTwoAreNot) {
  ByHand disk("cfq");
  disk.read(0, 116).read(0, 100).read(0, 108).read(1, 124);
  EXPECT_EQ(disk.next(), "100");
  EXPECT_EQ(disk.sectors(), 24U);
  disk.after(2000).done();
  disk.after(8000);
  EXPECT_EQ(disk.next(), "124");
}

TEST(Cfq, WritesOfAllAreMerged) {
  ByHand disk("cfq");
  disk.write(0, 100).write(1, 108);
  EXPECT_EQ(disk.next(), "100");
  EXPECT_EQ(disk.sectors(), 16U);
}

TEST(Cfq, SoManyOfOneReaderAreAtTheDiskWhileOthersWait) {
  ByHand alone("cfq");
  ByHand together("cfq");
  for (std::uint64_t i = 0; i < 10; ++i) {
    alone.read(0, i * 800);
    together.read(0, i * 800);
  }
  together.read(1, kFar);
  int sent_alone = 0;
  while (alone.next() != "idle") ++sent_alone;
  int sent_together = 0;
  while (together.next() != "idle") ++sent_together;
  EXPECT_EQ(sent_alone, 10);
  EXPECT_EQ(sent_together, 4) << "quantum";
}

TEST(Cfq, RequestsOfThoseNobodyWaitsForGoUpwardsTogetherOrInTurns) {
  const auto order = [](std::string_view spec) {
    ByHand disk(spec);
    disk.read(0, 4000);
    disk.next();
    for (const std::uint32_t sector : {9000U, 5000U, 1000U, 7000U})
      disk.read(sector / 1000, sector);
    disk.done();
    return disk.serve(1000);
  };
  EXPECT_EQ(order("cfq:slice_idle=0ms"), "5000 7000 9000 1000");
  EXPECT_EQ(order("cfq:slice_idle=0ms,drain=0"), "9000 5000 1000 7000");
}

// Reader 0 is interrupted by a close request with most of its turn left; then it and reader 3 come.
TEST(Cfq, WhatIsLeftOfATurnMovesTheQueueBackOrForward) {
  const auto first = [](std::string_view spec) {
    ByHand disk(spec);
    const auto head = disk.stroll(0, 0, 1000, 12, 1000) - 1000;
    disk.after(100).read(2, head + 8);
    EXPECT_EQ(disk.next(), std::to_string(head + 8));
    disk.read(0, 2 * kFar).after(1000).read(3, 3 * kFar);
    disk.after(1000).done();
    disk.after(8000);
    return disk.next();
  };
  EXPECT_EQ(first("cfq:drain=0,slice_scale=1000000"), std::to_string(3 * kFar));
  EXPECT_EQ(first("cfq:drain=0,slice_scale=1000000,resid_credit=1"), std::to_string(2 * kFar));
}

TEST(Cfq, EveryRequestIsServedOnce) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (const char* const spec :
         {"cfq", "cfq:slice_idle=0ms", "cfq:drain=0,resid_credit=1", "cfq:think_tick=4ms"}) {
      EXPECT_THAT(times_served(spec, seed), testing::Each(1)) << spec << ", seed " << seed;
    }
  }
}

}  // namespace
}  // namespace fairlead::disk
