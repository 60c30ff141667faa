// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "base/random.h"
#include "disk/cache_shadow.h"
#include "disk/linear_model.h"
#include "disk/mechanical_model.h"
#include "disk/rate_model.h"
#include "disk/testing_disk.h"

namespace fairlead::disk {
namespace {

Transfer reading(std::uint64_t sector, std::uint32_t count = 8) {
  return {.sector = sector, .sector_count = count};
}
Transfer writing(std::uint64_t sector, std::uint32_t count = 8) {
  return {.sector = sector, .sector_count = count, .op = IoOp::kWrite};
}

TEST(CacheShadow, HoldsWhatWasReadAndWhatLiesAhead) {
  CacheShadow cache({.segments = 2, .segment_sectors = 100, .ahead_sectors = 64});
  EXPECT_FALSE(cache.read(1000, 8));
  EXPECT_TRUE(cache.holds(1000, 72));
  EXPECT_FALSE(cache.holds(1000, 73));
  EXPECT_FALSE(cache.holds(999, 1));
  EXPECT_TRUE(cache.read(1040, 8)) << "and reads on from there";
  EXPECT_TRUE(cache.holds(1048, 64));
  EXPECT_FALSE(cache.holds(1000, 8)) << "a segment wraps around";
}

TEST(CacheShadow, TheOldestSegmentIsGivenUp) {
  CacheShadow cache({.segments = 2, .segment_sectors = 100, .ahead_sectors = 0});
  cache.read(0, 8);
  cache.read(1000, 8);
  cache.read(0, 8);  // first in, first out: that it is read again does not keep it
  cache.read(2000, 8);
  EXPECT_FALSE(cache.holds(0, 8));
  EXPECT_TRUE(cache.holds(1000, 8));
}

TEST(CacheShadow, WhatIsWrittenIsForgotten) {
  CacheShadow cache({.segments = 2});
  cache.read(1000, 8);
  cache.write(1060, 8);
  EXPECT_FALSE(cache.holds(1000, 8));
}

TEST(LinearModel, IsTheDocumentsEquation) {
  LinearModel model({.sectors = 1000,
                     .rotation_ns = 4 * kMs,
                     .full_stroke_ns = 10 * kMs,
                     .cache = {.segments = 0}});
  EXPECT_EQ(model.access(reading(500, 1), 0).end_ns, 2 * kMs + 5 * kMs);
  EXPECT_EQ(model.access(reading(501, 1), 100).end_ns, 100 + 2 * kMs) << "where the head is";
  EXPECT_EQ(model.access(writing(2, 1), 0).end_ns, 2 * kMs + 5 * kMs);
}

TEST(LinearModel, AHitTakesTheCachesTimeAndLeavesTheHead) {
  LinearModel model({.sectors = 1000,
                     .full_stroke_ns = 10 * kMs,
                     .hit_ns = 70 * kUs,
                     .cache = {.segments = 4, .segment_sectors = 100, .ahead_sectors = 64}});
  model.access(reading(100), 0);
  const Access hit = model.access(reading(140), 0);
  EXPECT_TRUE(hit.hit);
  EXPECT_EQ(hit.end_ns, 70 * kUs);
  EXPECT_EQ(model.access(reading(308, 1), 0).seek_ns, 2 * kMs) << "200 sectors from 108";
}

TEST(RateModel, HasLatencyAndTwoLimits) {
  RateModel model({.read_ns = 80 * kUs,
                   .write_ns = 20 * kUs,
                   .transfers_per_second = 100'000,
                   .bytes_per_second = 512e6});
  const Access small = model.access(reading(0, 8), 0);
  EXPECT_EQ(small.free_ns, 10 * kUs);
  EXPECT_EQ(small.end_ns, 88 * kUs);
  const Access large = model.access(writing(0, 1000), 0);
  EXPECT_EQ(large.free_ns, 1000 * kUs);
  EXPECT_EQ(large.end_ns, 1020 * kUs);
}

MechanicalShape drive() {
  return {.sectors = 800'000,
          .heads = 4,
          .zones = {{.cylinders = 500, .sectors_per_track = 250},
                    {.cylinders = 500, .sectors_per_track = 200}},
          .rotation_ns = 4 * kMs,
          .seek_one_ns = 300 * kUs,
          .seek_average_ns = 3500 * kUs,
          .seek_full_ns = 7400 * kUs,
          .head_switch_ns = 240 * kUs,
          .cylinder_skew_ns = 480 * kUs,
          .cache = {.segments = 0}};
}

TEST(MechanicalModel, SeeksAsTheThreeTimesOfTheDataSheet) {
  const MechanicalModel model(drive());
  EXPECT_EQ(model.seek_ns(0), 0);
  EXPECT_NEAR(static_cast<double>(model.seek_ns(1)), 300e3, 1);
  EXPECT_NEAR(static_cast<double>(model.seek_ns(333)), 3500e3, 3e3);
  EXPECT_NEAR(static_cast<double>(model.seek_ns(999)), 7400e3, 1);
}

TEST(MechanicalModel, ReadsATrackInARotationAndGoesOnWithTheNext) {
  MechanicalModel model(drive());
  const Access track = model.access(reading(0, 250), 0);
  EXPECT_EQ(track.rotation_ns, 0);
  EXPECT_EQ(track.transfer_ns, 4 * kMs);
  const Access next = model.access(reading(250, 250), track.end_ns);
  EXPECT_EQ(next.seek_ns, 240 * kUs);
  EXPECT_EQ(next.rotation_ns, 0) << "the skew is the head switch";
  MechanicalModel whole(drive());
  EXPECT_EQ(whole.access(reading(0, 500), 0).end_ns, next.end_ns) << "in one transfer or in two";
}

TEST(MechanicalModel, WaitsForTheSectorToComeBy) {
  MechanicalModel model(drive());
  model.access(reading(0, 1), 0);
  // The head is at 16 us; sector 125 is half a rotation from the first.
  EXPECT_EQ(model.access(reading(125, 1), 16 * kUs).rotation_ns, 2 * kMs - 16 * kUs);
  // And has just gone by.
  EXPECT_EQ(model.access(reading(125, 1), 2 * kMs + 1).rotation_ns, 4 * kMs - 1);
}

TEST(MechanicalModel, RandomReadsTakeTheMeansOfTheDataSheet) {
  MechanicalModel model(drive());
  base::Random random(1);
  std::int64_t now = 0;
  double seek = 0;
  double rotation = 0;
  constexpr int kReads = 20'000;
  for (int i = 0; i < kReads; ++i) {
    const Access access = model.access(reading(random.below(800'000 - 8)), now);
    seek += static_cast<double>(access.seek_ns);
    rotation += static_cast<double>(access.rotation_ns);
    // Not a whole number of rotations later.
    now = access.end_ns + static_cast<std::int64_t>(random.below(4 * kMs));
  }
  // The curve is concave: the mean seek takes less than the seek of mean length, 3.5 ms.
  EXPECT_NEAR(seek / kReads, 3.05e6, 0.1e6);
  EXPECT_NEAR(rotation / kReads, 2e6, 0.03e6);
}

TEST(MechanicalModel, WhatIsBeingReadAheadIsWaitedForNotSoughtAnew) {
  MechanicalShape shape = drive();
  shape.cache = {.segments = 2, .segment_sectors = 221, .ahead_sectors = 64};
  MechanicalModel model(shape);
  const Access first = model.access(reading(0), 0);
  // 64 sectors more take 1.024 ms; the last 8 of them are asked for at once.
  const Access soon = model.access(reading(64), first.end_ns);
  EXPECT_TRUE(soon.hit);
  EXPECT_NEAR(static_cast<double>(soon.end_ns - first.end_ns), 1.024e6, 0.02e6);
  // Interrupted after half of it, the rest is not there.
  MechanicalModel other(shape);
  const Access again = other.access(reading(0), 0);
  other.access(reading(400'000), again.end_ns + 512 * kUs);
  EXPECT_FALSE(other.access(reading(64), again.end_ns + 50 * kMs).hit);
  MechanicalModel third(shape);
  third.access(reading(0), 0);
  third.access(reading(400'000), again.end_ns + 512 * kUs);
  EXPECT_TRUE(third.access(reading(24), again.end_ns + 50 * kMs).hit) << "but the half is";
}

TEST(MechanicalModel, WhoReadsOnIsReadAheadFor) {
  MechanicalShape shape = drive();
  shape.cache = {.segments = 2, .segment_sectors = 221, .ahead_sectors = 64};
  MechanicalModel model(shape);
  std::int64_t now = model.access(reading(0), 0).end_ns;
  for (std::uint64_t sector = 8; sector < 240; sector += 8) {
    const Access access = model.access(reading(sector), now + kMs);
    EXPECT_TRUE(access.hit) << sector;
    now = access.end_ns;
  }
}

TEST(MechanicalModel, AWriteMakesTheCacheForget) {
  MechanicalShape shape = drive();
  shape.cache = {.segments = 2, .segment_sectors = 221, .ahead_sectors = 64};
  MechanicalModel model(shape);
  const Access first = model.access(reading(0), 0);
  EXPECT_TRUE(model.access(reading(0), first.end_ns).hit);
  const Access written = model.access(writing(4), first.end_ns + 9 * kMs);
  EXPECT_FALSE(model.access(reading(0), written.end_ns).hit);
}

}  // namespace
}  // namespace fairlead::disk
