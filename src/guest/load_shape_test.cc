// SPDX-License-Identifier: Apache-2.0
#include "guest/load_shape.h"

#include <string>

#include <gtest/gtest.h>

namespace fairlead::guest {
namespace {

TEST(LoadShape, TheLoadsOfDocument001) {
  const auto equal = parse_load("cpu:equal");
  ASSERT_TRUE(equal);
  EXPECT_EQ(equal->cpu.phase_count, 1U);
  EXPECT_EQ(equal->cpu.phases[0].steps, 100'000U);
  EXPECT_EQ(equal->cpu.phases[0].sleep_ns, 400'000);
  EXPECT_EQ(parse_load("cpu:heavy")->cpu.phases[0].steps, 250'000U);
  EXPECT_EQ(parse_load("cpu:light")->cpu.phases[0].steps, 30'000U);
  const auto memory = parse_load("mem:rate=20M,limit=512M,hold=10s,free");
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->memory.rate_bytes_per_s, 20U << 20);
  EXPECT_EQ(memory->memory.limit_bytes, 512U << 20);
  EXPECT_EQ(memory->memory.hold_ns, 10'000'000'000);
}

TEST(LoadShape, AnyOtherCpuLoad) {
  const auto shape = parse_load("cpu:steps=70000,sleep=1ms,threads=2,seed=9");
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->cpu.phases[0].pattern, CpuPattern::kLoop);
  EXPECT_EQ(shape->cpu.phases[0].steps, 70'000U);
  EXPECT_EQ(shape->cpu.phases[0].sleep_ns, 1'000'000);
  EXPECT_EQ(shape->cpu.threads, 2U);
  EXPECT_EQ(shape->cpu.seed, 9U);
  EXPECT_EQ(parse_load("cpu:share=25%")->cpu.phases[0].share, 0.25);
  const auto jobs = parse_load("cpu:poisson=50,steps=20000");
  ASSERT_TRUE(jobs);
  EXPECT_EQ(jobs->cpu.phases[0].pattern, CpuPattern::kPoisson);
  EXPECT_EQ(jobs->cpu.phases[0].rate_per_s, 50);
  EXPECT_EQ(parse_load("cpu:steps=7,periodic=2")->cpu.phases[0].pattern, CpuPattern::kPeriodic);
}

TEST(LoadShape, PhasesInTime) {
  const auto shape = parse_load("cpu:heavy,for=5s/idle,for=500ms/light");
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->cpu.phase_count, 3U);
  EXPECT_EQ(shape->cpu.phases[0].lasts_ns, 5'000'000'000);
  EXPECT_EQ(shape->cpu.phases[1].pattern, CpuPattern::kIdle);
  EXPECT_EQ(shape->cpu.phases[1].lasts_ns, 500'000'000);
  EXPECT_EQ(shape->cpu.phases[2].lasts_ns, 0);
  EXPECT_FALSE(parse_load("cpu:heavy/idle")) << "a phase that never ends, before another";
  std::string many = "cpu:idle,for=1s";
  for (std::size_t i = 1; i < kMostPhases; ++i) many += "/idle,for=1s";
  EXPECT_TRUE(parse_load(many));
  EXPECT_FALSE(parse_load(many + "/idle,for=1s"));
}

TEST(LoadShape, ASawtoothHasATop) {
  const auto shape = parse_load("mem:limit=64M,again");
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->memory.end, MemoryEnd::kAgain);
  EXPECT_GT(shape->memory.hold_ns, 0);
  EXPECT_TRUE(parse_load("mem:cache,limit=64M")->memory.cache);
}

TEST(LoadShape, NonsenseIsRefused) {
  for (const char* bad : {"",
                          "cpu",
                          "cpu:",
                          "cpu:hevy",
                          "disk:heavy",
                          "cpu:heavy,",
                          "cpu:heavy,,threads=1",
                          "cpu:share=101%",
                          "cpu:share=-1%",
                          "cpu:poisson=5",
                          "cpu:poisson=0,steps=1",
                          "cpu:steps=0",
                          "cpu:steps=5x",
                          "cpu:sleep=5",
                          "cpu:threads=65",
                          "cpu:heavy,for=0s",
                          "mem:",
                          "mem:rate=20MB",
                          "mem:limit=1",
                          "mem:hold=5",
                          "mem:limit=99999999999G",
                          "cpu:steps=99999999999999999999999"}) {
    EXPECT_FALSE(parse_load(bad)) << bad;
  }
}

}  // namespace
}  // namespace fairlead::guest
