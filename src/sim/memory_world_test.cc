// SPDX-License-Identifier: Apache-2.0
#include "sim/memory_world.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace fairlead::sim {
namespace {

using manage::kMiB;

using base::kNanosPerSecond;

std::string id(MemoryWorld& world) { return world.sample()->guests[0].uuid; }

TEST(MemoryWorld, TheHostGivesWhatIsTouchedAndGetsItBackFromTheBalloonOnly) {
  MemoryWorld world(4096 * kMiB);
  world.add_guest({.start = 1024 * kMiB, .base = 200 * kMiB});
  EXPECT_DOUBLE_EQ(world.available_mib(), 4096 - 200);
  world.set_load(0, {.shape = MemoryShape::kGrow, .limit = 500 * kMiB});
  world.advance(60 * kNanosPerSecond);
  EXPECT_DOUBLE_EQ(world.available_mib(), 4096 - 700);
  world.set_load(0, {.shape = MemoryShape::kFree});
  world.advance(kNanosPerSecond);
  EXPECT_DOUBLE_EQ(world.available_mib(), 4096 - 700);
  ASSERT_TRUE(world.set_memory(id(world), 400 * kMiB));
  world.advance(5 * kNanosPerSecond);
  EXPECT_DOUBLE_EQ(world.available_mib(), 4096 - 400);
}

TEST(MemoryWorld, TheBalloonLagsAndRunsOutOfPuff) {
  MemoryWorld world(4096 * kMiB);
  world.add_guest({.start = 512 * kMiB,
                   .base = 400 * kMiB,
                   .inflate_rate = 50.0 * kMiB,
                   .lag_ns = kNanosPerSecond});
  ASSERT_TRUE(world.set_memory(id(world), 300 * kMiB));
  world.advance(kNanosPerSecond - 1);
  EXPECT_DOUBLE_EQ(world.truth(0).size_mib, 512);
  world.advance(kNanosPerSecond);
  EXPECT_NEAR(world.truth(0).size_mib, 462, 8);
  world.advance(10 * kNanosPerSecond);
  EXPECT_NEAR(world.truth(0).size_mib, 416, 0.1) << "16 MiB stay free";
  EXPECT_FALSE(world.set_memory(id(world), 4096 * kMiB)) << "above its maximum";
}

TEST(MemoryWorld, WhoHasNothingUsableIsKilled) {
  MemoryWorld world(4096 * kMiB);
  world.add_guest({.start = 512 * kMiB, .maximum = 512 * kMiB, .base = 300 * kMiB});
  world.add_guest({.start = 512 * kMiB, .base = 300 * kMiB});
  for (std::uint32_t g = 0; g < 2; ++g) world.set_load(g, {.shape = MemoryShape::kGrow});
  world.advance(20 * kNanosPerSecond);
  ASSERT_EQ(world.kills().size(), 2U);
  EXPECT_TRUE(world.kills()[0].at_maximum);
  EXPECT_FALSE(world.kills()[1].at_maximum);
  EXPECT_DOUBLE_EQ(world.truth(0).used_mib, 300);
}

TEST(MemoryWorld, ReportsComeAtTheirPeriodAndNotBefore) {
  MemoryWorld world(4096 * kMiB);
  world.add_guest({});
  world.advance(10 * kNanosPerSecond);
  EXPECT_EQ(world.sample()->guests[0].memory->updated_s, 0);
  EXPECT_FALSE(world.sample()->guests[0].memory->usable_bytes);
  ASSERT_TRUE(world.set_stats_period(id(world), 5));
  world.advance(5 * kNanosPerSecond);
  const auto first = *world.sample();
  EXPECT_EQ(first.guests[0].memory->updated_s, first.wall_s);
  EXPECT_EQ(first.guests[0].memory->usable_bytes, (512 - 315) * kMiB);
  world.advance(4 * kNanosPerSecond);
  EXPECT_EQ(world.sample()->guests[0].memory->updated_s, first.wall_s);
}

TEST(MemoryWorld, WithoutADriverSizeIsMaximumAndNothingMoves) {
  MemoryWorld world(4096 * kMiB);
  world.add_guest({.driver = false});
  ASSERT_TRUE(world.set_stats_period(id(world), 1));
  ASSERT_TRUE(world.set_memory(id(world), 400 * kMiB)) << "success without effect";
  world.advance(10 * kNanosPerSecond);
  const auto memory = *world.sample()->guests[0].memory;
  EXPECT_EQ(memory.current_bytes, memory.maximum_bytes);
  EXPECT_EQ(memory.updated_s, 0);
}

TEST(MemoryWorld, PageCacheIsUsableAndTheBalloonTakesIt) {
  MemoryWorld world(4096 * kMiB);
  world.add_guest({.start = 1024 * kMiB, .base = 200 * kMiB});
  ASSERT_TRUE(world.set_stats_period(id(world), 1));
  world.set_load(0, {.shape = MemoryShape::kCache, .rate = 100e6, .limit = 500 * kMiB});
  world.advance(20 * kNanosPerSecond);
  const auto memory = *world.sample()->guests[0].memory;
  EXPECT_EQ(*memory.usable_bytes, 824 * kMiB);
  EXPECT_EQ(*memory.unused_bytes, 324 * kMiB);
  ASSERT_TRUE(world.set_memory(id(world), 400 * kMiB));
  world.advance(5 * kNanosPerSecond);
  EXPECT_DOUBLE_EQ(world.truth(0).size_mib, 400);
}

// As QEMU tells it and libvirt shows it: the first move at once, then once a second.
TEST(MemoryWorld, TheHypervisorLearnsOfABalloonOnceASecond) {
  MemoryWorld world(4096 * kMiB);
  world.add_guest({.start = 512 * kMiB, .base = 200 * kMiB, .inflate_rate = 80.0 * kMiB});
  ASSERT_TRUE(world.set_stats_period(id(world), 1));
  const auto shown = [&] { return world.sample()->guests[0].memory->current_bytes / kMiB; };
  world.advance(3 * kNanosPerSecond);
  ASSERT_TRUE(world.set_memory(id(world), 412 * kMiB));
  world.advance(kNanosPerSecond);
  EXPECT_LE(world.truth(0).size_mib, 440);
  EXPECT_GE(shown(), 500U) << "the first step";
  const auto memory = *world.sample()->guests[0].memory;
  EXPECT_EQ(memory.available_bytes, memory.usable_bytes.value() + (200 - 24) * kMiB)
      << "what a guest says of itself fits together";
  world.advance(2 * kNanosPerSecond);
  EXPECT_EQ(shown(), 412U);
  EXPECT_EQ(*world.sample()->guests[0].memory->available_bytes, (412 - 24) * kMiB);
}

TEST(MemoryWorld, WhatABalloonGivesBackLiesInListsUntilItIsUsed) {
  MemoryWorld world(4096 * kMiB);
  world.add_guest({.start = 400 * kMiB, .base = 200 * kMiB});
  ASSERT_TRUE(world.set_stats_period(id(world), 1));
  const auto usable = [&] { return *world.sample()->guests[0].memory->usable_bytes / kMiB; };
  ASSERT_TRUE(world.set_memory(id(world), 500 * kMiB));
  world.advance(3 * kNanosPerSecond);
  EXPECT_EQ(usable(), 300U - 32);
  EXPECT_EQ(world.truth(0).usable_mib, 300);
  world.set_load(0, {.shape = MemoryShape::kGrow, .limit = 20 * kMiB});
  world.advance(4 * kNanosPerSecond);
  EXPECT_EQ(usable(), 300U - 32) << "a program takes from the lists";
  ASSERT_TRUE(world.set_memory(id(world), 450 * kMiB));
  world.advance(4 * kNanosPerSecond);
  EXPECT_EQ(usable(), 230U) << "so does the balloon";
}

TEST(MemoryWorld, WithDeflateOnOomMemTotalStays) {
  MemoryWorld world(4096 * kMiB);
  world.add_guest({.start = 512 * kMiB, .base = 200 * kMiB, .deflate_on_oom = true});
  ASSERT_TRUE(world.set_stats_period(id(world), 1));
  ASSERT_TRUE(world.set_memory(id(world), 412 * kMiB));
  world.advance(3 * kNanosPerSecond);
  const auto memory = *world.sample()->guests[0].memory;
  EXPECT_EQ(*memory.available_bytes, (2048 - 24) * kMiB);
  EXPECT_EQ(*memory.usable_bytes, 212 * kMiB);
}

TEST(MemoryWorld, WhoHasSwapPagesUntilItIsFull) {
  MemoryWorld world(4096 * kMiB);
  world.add_guest({.start = 512 * kMiB, .base = 300 * kMiB, .swap = 300 * kMiB});
  ASSERT_TRUE(world.set_stats_period(id(world), 1));
  world.set_load(
      0, {.shape = MemoryShape::kGrow, .rate = 50.0 * kMiB, .limit = 400 * kMiB, .touch = 40e6});
  world.advance(20 * kNanosPerSecond);
  EXPECT_TRUE(world.kills().empty());
  EXPECT_NEAR(world.truth(0).usable_mib, 16, 0.1);
  const auto before = *world.sample()->guests[0].memory;
  world.advance(4 * kNanosPerSecond);
  const auto after = *world.sample()->guests[0].memory;
  EXPECT_NEAR(static_cast<double>(*after.swap_in_bytes - *before.swap_in_bytes) / 4,
              40e6 * 204 / 400, 1e6)
      << "204 of 400 MiB lie there";
  EXPECT_EQ(*after.major_faults, *after.swap_in_bytes / 4096);
  ASSERT_TRUE(world.set_memory(id(world), 1024 * kMiB));
  world.advance(200 * kNanosPerSecond);
  EXPECT_NEAR(world.truth(0).used_mib, 700, 1) << "all has come back";
  world.set_load(0, {.shape = MemoryShape::kGrow, .rate = 50.0 * kMiB});
  world.advance(60 * kNanosPerSecond);
  EXPECT_EQ(world.kills().size(), 1U);
}

TEST(MemoryWorld, TheHostWaitsForMemoryWhereLittleIsLeft) {
  MemoryWorld world(4000 * kMiB);
  world.advance(60 * kNanosPerSecond);
  EXPECT_EQ(world.sample()->memory.pressure_some, 0);
  world.set_foreign(3800 * kMiB);
  world.advance(10 * kNanosPerSecond);
  EXPECT_NEAR(*world.sample()->memory.pressure_some, 50 * 0.63, 1);
  world.advance(60 * kNanosPerSecond);
  EXPECT_NEAR(*world.sample()->memory.pressure_some, 50, 1);
}

TEST(MemoryWorld, TheSameSeedIsTheSameWorld) {
  const auto run = [] {
    MemoryWorld world(4096 * kMiB, 42);
    for (std::uint32_t g = 0; g < 3; ++g) {
      world.add_guest({});
      world.set_load(g, {.shape = MemoryShape::kSawtooth, .limit = 150 * kMiB});
    }
    for (int i = 0; i < 10; ++i) world.advance(kNanosPerSecond / 3);
    return *world.sample();
  };
  EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace fairlead::sim
