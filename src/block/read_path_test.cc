// SPDX-License-Identifier: Apache-2.0
#include "block/read_path.h"

#include <unistd.h>

#include <cerrno>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "block/testing_image.h"

namespace fairlead::block {
namespace {

constexpr std::uint64_t kPathSectors = 256;

struct Answer {
  int times = 0;
  std::vector<std::byte> bytes;
  int error = 0;
};

class ReadPathTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    const std::string path = make_test_image(folder_ / "disk.img", kPathSectors);
    auto image = Image::open(path);
    ASSERT_TRUE(image);
    reads_ =
        std::make_unique<ReadPath>(*std::move(image), ReadPathLimits{.flights = 16,
                                                                     .data_bytes = 4096,
                                                                     .waiters = 64,
                                                                     .watches = 4,
                                                                     .cache_bytes = 64 * 1024});
    ASSERT_TRUE(reads_->start(GetParam()));
  }
  void ask(std::uint64_t sector, std::uint32_t count, std::uint32_t waiter) {
    ASSERT_TRUE(reads_->has_room());
    sizes_[waiter] = count * 512;
    reads_->read(sector, count, waiter);
  }
  // Sends what was asked and takes in `count` device reads.
  void finish(std::size_t count) {
    reads_->submit();
    EngineEvent events[8];
    ASSERT_TRUE(eventually([&] {
      const std::size_t got = reads_->engine().reap(events);
      for (std::size_t i = 0; i < got; ++i) {
        reads_->finish(events[i], [&](std::uint32_t waiter, const std::byte* bytes, int error) {
          Answer& answer = answers_[waiter];
          ++answer.times;
          answer.error = error;
          if (bytes != nullptr) answer.bytes.assign(bytes, bytes + sizes_[waiter]);
        });
        --count;
      }
      return count == 0;
    }));
  }
  bool cached(std::uint64_t sector, std::uint32_t count = 1) {
    return reads_->from_cache(sector, count, copy_);
  }

  TestFolder folder_;
  std::unique_ptr<ReadPath> reads_;
  std::map<std::uint32_t, std::uint32_t> sizes_;
  std::map<std::uint32_t, Answer> answers_;
  std::byte copy_[4096];
};

TEST_P(ReadPathTest, WhatWasReadIsGivenAgainFromTheCache) {
  EXPECT_FALSE(cached(5, 4));
  ask(5, 4, 1);
  finish(1);
  EXPECT_TRUE(holds_sectors(answers_[1].bytes, 5, 1));
  ASSERT_TRUE(cached(5, 4));
  EXPECT_TRUE(holds_sectors({copy_, 2048}, 5, 1));
  ASSERT_TRUE(cached(7));
  EXPECT_TRUE(holds_sectors({copy_, 512}, 7, 1));
  EXPECT_FALSE(cached(7, 4)) << "two of the four were never read";
  EXPECT_EQ(reads_->engine().counts().reads, 1u);
}

TEST_P(ReadPathTest, EqualReadsInFlightAreOneReadAndEachIsAnsweredOnce) {
  for (const std::uint32_t waiter : {3U, 9U, 60U}) ask(40, 2, waiter);
  ask(40, 1, 4);  // another length is another read
  finish(2);
  EXPECT_EQ(reads_->engine().counts().reads, 2u);
  EXPECT_EQ(reads_->joined(), 2u);
  ASSERT_EQ(answers_.size(), 4u);
  for (const auto& [waiter, answer] : answers_) {
    EXPECT_EQ(answer.times, 1) << waiter;
    EXPECT_TRUE(holds_sectors(answer.bytes, 40, 1)) << waiter;
  }
}

TEST_P(ReadPathTest, AReadThatTheDeviceCutsShortFailsForItsWaitersAlone) {
  ASSERT_EQ(::truncate((folder_ / "disk.img").c_str(), 100 * 512), 0);
  ask(99, 2, 1);
  ask(99, 2, 2);
  ask(200, 1, 3);
  ask(10, 2, 4);
  finish(3);
  for (const std::uint32_t waiter : {1U, 2U, 3U}) {
    EXPECT_EQ(answers_[waiter].times, 1);
    EXPECT_EQ(answers_[waiter].error, EIO);
    EXPECT_TRUE(answers_[waiter].bytes.empty());
  }
  EXPECT_EQ(answers_[4].error, 0);
  EXPECT_TRUE(holds_sectors(answers_[4].bytes, 10, 1));
  EXPECT_FALSE(cached(99)) << "half of a failed read was kept";
  EXPECT_FALSE(cached(200));
}

TEST_P(ReadPathTest, ForgetEmptiesTheCacheAndKeepsTheCounts) {
  ask(8, 1, 0);
  finish(1);
  ASSERT_TRUE(cached(8));
  const std::uint64_t hits = reads_->hits();
  const std::uint64_t lookups = reads_->lookups();
  reads_->forget();
  EXPECT_EQ(reads_->hits(), hits);
  EXPECT_EQ(reads_->lookups(), lookups);
  EXPECT_FALSE(cached(8));
  EXPECT_EQ(reads_->hits(), hits);
  EXPECT_EQ(reads_->lookups(), lookups + 1);
}

TEST_P(ReadPathTest, AReadUnderWayWhenTheImageChangesIsAnsweredButNotKept) {
  ask(8, 1, 0);
  reads_->submit();
  reads_->forget();
  finish(1);
  EXPECT_EQ(answers_[0].times, 1);
  EXPECT_EQ(answers_[0].bytes.size(), 512u);
  EXPECT_FALSE(cached(8));
  ask(8, 1, 0);
  finish(1);
  EXPECT_TRUE(cached(8)) << "a read that began afterwards is kept";
}

TEST_P(ReadPathTest, AReadThatBeganAfterTheChangeIsNotGivenWhatCameBefore) {
  ask(8, 1, 0);
  reads_->submit();
  write_sectors_of(folder_ / "disk.img", 8, 1, 2);
  reads_->forget();
  ask(8, 1, 1);
  EXPECT_EQ(reads_->joined(), 0u);
  finish(reads_->joined() == 0 ? 2 : 1);
  EXPECT_TRUE(holds_sectors(answers_[1].bytes, 8, 2)) << "joined a read of the old content";
}

TEST_P(ReadPathTest, TheCacheKeepsWithinItsBytes) {
  for (std::uint64_t sector = 0; sector < kPathSectors; ++sector) {
    ask(sector, 1, 0);
    finish(1);
    EXPECT_LE(reads_->cache_bytes(), 64u * 1024);
  }
}

TEST_P(ReadPathTest, ThereIsRoomForAsManyReadsAsFlights) {
  for (std::uint32_t waiter = 0; waiter < 16; ++waiter) ask(waiter * 3, 1, waiter);
  EXPECT_FALSE(reads_->has_room());
  finish(16);
  EXPECT_TRUE(reads_->has_room());
  for (std::uint32_t waiter = 0; waiter < 16; ++waiter) {
    EXPECT_TRUE(holds_sectors(answers_[waiter].bytes, waiter * 3, 1));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, ReadPathTest,
                         ::testing::Values(EngineKind::kUring, EngineKind::kPool),
                         [](const auto& engine) {
                           return engine.param == EngineKind::kUring ? "Uring" : "Pool";
                         });

}  // namespace
}  // namespace fairlead::block
