// SPDX-License-Identifier: Apache-2.0
#include "manage/cpu_watch.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace fairlead::manage {
namespace {

using base::kNanosPerSecond;

// Guests of one vCPU each on two processors.
class CpuWatchTest : public testing::Test {
 protected:
  CpuWatchTest() {
    for (const unsigned cpu : {0U, 1U}) {
      sample_.pcpus.emplace_back();
      sample_.pcpus.back().cpu = sample_.pcpus.back().core = cpu;
    }
    for (const char* name : {"aos_1", "aos_2", "aos_10"}) {
      GuestSample guest;
      guest.uuid = std::string("uuid of ") + name;
      guest.name = name;
      guest.vcpus.push_back(vcpu(0, {0}));
      sample_.guests.push_back(std::move(guest));
    }
  }

  static VcpuSample vcpu(std::uint32_t index, std::initializer_list<unsigned> cpus) {
    VcpuSample one;
    one.index = index;
    one.allowed = CpuSet::of(cpus);
    return one;
  }
  void put(std::size_t guest, std::initializer_list<unsigned> cpus) {
    sample_.guests[guest].vcpus[0].allowed = CpuSet::of(cpus);
  }
  // Each guest runs this share of the next `seconds`.
  CpuRound pass(std::initializer_list<double> shares, double seconds = 1) {
    sample_.at_ns += static_cast<std::int64_t>(seconds * kNanosPerSecond);
    std::size_t i = 0;
    for (const double share : shares) {
      sample_.guests[i++].vcpus[0].run_ns +=
          static_cast<std::uint64_t>(share * seconds * kNanosPerSecond);
    }
    return watch_.look(sample_);
  }

  Sample sample_;
  CpuWatch watch_;
};

TEST_F(CpuWatchTest, UsageIsOverTheTimeThatPassed) {
  put(1, {1});
  EXPECT_EQ(watch_.look(sample_).elapsed_ns, 0);
  EXPECT_EQ(watch_.summary().rounds, 0U) << "the first look is no round";
  const CpuRound late = pass({0.4, 0.6, 0.1}, 2.5);
  ASSERT_EQ(late.pcpus.size(), 2U);
  EXPECT_NEAR(late.pcpus[0].usage, 0.5, 1e-9);
  EXPECT_NEAR(late.pcpus[1].usage, 0.6, 1e-9);
  EXPECT_NEAR(late.mean, 0.55, 1e-9);
  EXPECT_NEAR(late.deviation, 0.05, 1e-9);
  EXPECT_FALSE(late.balanced) << "9 % of the mean";
}

TEST_F(CpuWatchTest, EveryVcpuOfAGuestCounts) {
  sample_.guests[0].vcpus.push_back(vcpu(1, {1}));
  watch_.look(sample_);
  sample_.guests[0].vcpus[1].run_ns += kNanosPerSecond / 2;
  const CpuRound round = pass({0.2, 0, 0});
  EXPECT_NEAR(round.pcpus[0].usage, 0.2, 1e-9);
  EXPECT_NEAR(round.pcpus[1].usage, 0.5, 1e-9);
  ASSERT_EQ(round.vcpus.size(), 4U);
  EXPECT_EQ(round.vcpus[1].label(), "aos_1:1");
  EXPECT_EQ(round.vcpus[2].label(), "aos_2");
  EXPECT_EQ(round.vcpus[3].label(), "aos_10") << "in the order of their numbers";
}

TEST_F(CpuWatchTest, WhatMayRunAnywhereCountsInPartsAndIsNoPinChange) {
  put(0, {0, 1});
  watch_.look(sample_);
  const CpuRound round = pass({0.4, 0, 0});
  EXPECT_NEAR(round.pcpus[0].usage, 0.2, 1e-9);
  EXPECT_NEAR(round.pcpus[1].usage, 0.2, 1e-9);
  EXPECT_EQ(round.vcpus[0].allowed.text(), "0-1");
  EXPECT_EQ(watch_.summary().pin_changes, 0U);
}

TEST_F(CpuWatchTest, PinChangesAreChangedMasks) {
  watch_.look(sample_);
  put(1, {1});
  put(2, {0, 1});
  EXPECT_EQ(pass({0.3, 0.3, 0}).pin_changes, 2U);
  EXPECT_EQ(pass({0.3, 0.3, 0}).pin_changes, 0U);
  put(0, {1});
  sample_.guests[0].run_id = 9;  // restarted: it came with its mask
  EXPECT_EQ(pass({0.3, 0.3, 0}).pin_changes, 0U);
  EXPECT_EQ(watch_.summary().pin_changes, 2U);
  EXPECT_EQ(watch_.summary().last_change_round, 1U);
}

TEST_F(CpuWatchTest, BalanceIsFiveRoundsInARow) {
  watch_.look(sample_);
  pass({0.001, 0.001, 0});  // idle: within 1.5 points
  EXPECT_EQ(watch_.summary().rounds_until_balance, 0U);
  pass({0.3, 0.3, 0});
  pass({0.3, 0.3, 0});
  put(1, {1});
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(pass({0.3, 0.31, 0}).balanced);
  EXPECT_FALSE(watch_.summary().rounds_until_balance);
  pass({0.3, 0.31, 0});
  EXPECT_EQ(watch_.summary().rounds_until_balance, 2U);
  EXPECT_EQ(watch_.summary().rounds, 8U);
  EXPECT_EQ(watch_.summary().balanced_rounds, 6U);
}

TEST_F(CpuWatchTest, OnlyTheProcessorsThatAreWatched) {
  put(1, {1});
  CpuWatch watch(CpuSet::of({1}));
  watch.look(sample_);
  sample_.at_ns += kNanosPerSecond;
  for (auto& guest : sample_.guests) guest.vcpus[0].run_ns += kNanosPerSecond / 4;
  const CpuRound round = watch.look(sample_);
  ASSERT_EQ(round.pcpus.size(), 1U);
  EXPECT_EQ(round.pcpus[0].cpu, 1U);
  EXPECT_NEAR(round.mean, 0.25, 1e-9);
  EXPECT_TRUE(round.vcpus[0].allowed.empty());
}

}  // namespace
}  // namespace fairlead::manage
