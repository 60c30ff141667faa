// SPDX-License-Identifier: Apache-2.0
//
// manage::CpuMeter on samples made by hand: whose the foreign load is.  What it makes of demand is
// seen in simulated worlds (src/sim/cpu_manager_test.cc).
#include "manage/cpu_meter.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace fairlead::manage {
namespace {

using base::kNanosPerSecond;

std::uint64_t ns(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); }

// Two processors, one guest on the first: what all have done in so many seconds, at these rates.
struct Host {
  double vcpu = 0.5;
  double busy[2] = {0.5, 0};
  double process = 0.5;
  CpuSet helpers_allowed = CpuSet::first(2);

  Sample after(std::uint64_t seconds) const {
    const auto time = static_cast<double>(seconds);
    Sample sample;
    sample.at_ns = static_cast<std::int64_t>(seconds * kNanosPerSecond);
    for (std::uint32_t p = 0; p < 2; ++p) {
      sample.pcpus.push_back({.cpu = p, .busy_ns = ns(busy[p] * time), .core = p});
    }
    GuestSample guest;
    guest.uuid = "g";
    guest.run_id = 1;
    guest.vcpus.push_back({.run_ns = ns(vcpu * time), .delay_ns = 0, .allowed = CpuSet::of({0})});
    guest.process_ns = ns(process * time);
    guest.helpers_allowed = helpers_allowed;
    sample.guests.push_back(std::move(guest));
    return sample;
  }

  CpuLoads measured() const {
    CpuMeter meter;
    meter.measure(after(1));
    return meter.measure(after(2));
  }
};

TEST(CpuMeter, ExpectsHelpersEvenlyWhereTheyMayRun) {
  const Host host{.busy = {0.5, 0.2}, .process = 0.7};
  const auto loads = host.measured();
  EXPECT_NEAR(loads.pcpus[1].foreign, 0.2, 1e-6);
  EXPECT_NEAR(loads.pcpus[0].fixed, 0.1, 1e-6);
  EXPECT_NEAR(loads.pcpus[1].fixed, 0.1, 1e-6);
  EXPECT_NEAR(loads.pcpus[0].demand, 0.6, 1e-6);
}

TEST(CpuMeter, LeavesHelpersWhereTheirMaskHoldsThem) {
  const Host host{.busy = {0.5, 0.2}, .process = 0.7, .helpers_allowed = CpuSet::of({1})};
  const auto loads = host.measured();
  EXPECT_NEAR(loads.pcpus[0].fixed, 0, 1e-6);
  EXPECT_NEAR(loads.pcpus[1].fixed, 0.2, 1e-6);
}

TEST(CpuMeter, TellsOtherProgramsFromHelpers) {
  const Host host{.busy = {0.5, 0.5}, .process = 0.7};
  const auto loads = host.measured();
  EXPECT_NEAR(loads.pcpus[0].fixed, 0.1, 1e-6);
  EXPECT_NEAR(loads.pcpus[1].fixed, 0.4, 1e-6);
}

TEST(CpuMeter, ExpectsNoMoreThanWasSeen) {
  const Host host{.busy = {0.5, 0.2}, .process = 1.4};
  const auto loads = host.measured();
  EXPECT_NEAR(loads.pcpus[0].fixed + loads.pcpus[1].fixed, 0.2, 1e-6);
}

TEST(CpuMeter, ExpectsNoMoreThanWasSeenOfAllGuestsTogether) {
  const Host host{.busy = {0.5, 0.2}, .process = 0.65};
  const auto after = [&](std::uint64_t seconds) {
    Sample sample = host.after(seconds);
    GuestSample idle = sample.guests[0];
    idle.uuid = "h";
    idle.vcpus[0].run_ns = 0;
    idle.process_ns = ns(0.15 * static_cast<double>(seconds));
    sample.guests.push_back(std::move(idle));
    return sample;
  };
  CpuMeter meter;
  meter.measure(after(1));
  const auto loads = meter.measure(after(2));
  EXPECT_NEAR(loads.pcpus[0].fixed, 0.1, 1e-6);
  EXPECT_NEAR(loads.pcpus[1].fixed, 0.1, 1e-6);
}

TEST(CpuMeter, WithoutTheProcesssTimeAllForeignLoadStays) {
  Host host{.busy = {0.5, 0.2}, .process = 0.1};  // less than its vCPU's: nonsense
  EXPECT_NEAR(host.measured().pcpus[1].fixed, 0.2, 1e-6);
  host.process = 0.7;
  host.helpers_allowed = {};  // not known
  EXPECT_NEAR(host.measured().pcpus[1].fixed, 0.2, 1e-6);
  CpuMeter meter;
  meter.measure(host.after(1));
  Sample restarted = host.after(2);
  restarted.guests[0].run_id = 2;
  restarted.guests[0].helpers_allowed = CpuSet::first(2);
  EXPECT_NEAR(meter.measure(restarted).pcpus[1].fixed, 0.2, 1e-6);
}

// A vCPU that is unplugged takes its time with it, one that began anew has less than before: what
// they did meanwhile is no work of helpers, and is not known.
class HelpersBesideTwoVcpus : public testing::Test {
 protected:
  HelpersBesideTwoVcpus() {
    meter_.measure(after(1));
    EXPECT_NEAR(meter_.measure(after(2)).pcpus[1].fixed, kExpected, 1e-6);
  }

  // The second runs 0.3, helpers 0.2, others 0.4.
  static Sample after(std::uint64_t seconds) {
    const Host host{.busy = {0.8, 0.6}, .process = 1};
    Sample sample = host.after(seconds);
    sample.guests[0].vcpus.push_back({.index = 1,
                                      .run_ns = ns(0.3 * static_cast<double>(seconds)),
                                      .delay_ns = 0,
                                      .allowed = CpuSet::of({0})});
    return sample;
  }

  // The third second, in which the second vCPU did nothing that its processor would show.
  static Sample without_second() {
    Sample sample = after(3);
    sample.pcpus[0].busy_ns -= ns(0.3);
    return sample;
  }

  static constexpr double kExpected = 0.5;
  CpuMeter meter_;
};

TEST_F(HelpersBesideTwoVcpus, AreAsBeforeWhenOneIsUnplugged) {
  Sample sample = without_second();
  sample.guests[0].vcpus.pop_back();
  EXPECT_NEAR(meter_.measure(sample).pcpus[1].fixed, kExpected, 1e-6);
}

TEST_F(HelpersBesideTwoVcpus, AreAsBeforeWhenOneBeginsAnew) {
  Sample sample = without_second();
  sample.guests[0].vcpus[1].run_ns = 0;
  EXPECT_NEAR(meter_.measure(sample).pcpus[1].fixed, kExpected, 1e-6);
}

TEST(CpuMeter, HelpersMayUseSeveralProcessors) {
  CpuMeter meter;
  const auto after = [](std::uint64_t seconds) {
    const Host host{.process = 2.3, .helpers_allowed = CpuSet::first(4)};
    Sample sample = host.after(seconds);
    for (std::uint32_t p = 1; p < 4; ++p) {
      sample.pcpus.resize(std::max<std::size_t>(sample.pcpus.size(), p + 1));
      sample.pcpus[p] = {.cpu = p, .busy_ns = ns(0.6 * static_cast<double>(seconds)), .core = p};
    }
    return sample;
  };
  meter.measure(after(1));
  const auto loads = meter.measure(after(2));
  for (const PcpuLoad& load : loads.pcpus) EXPECT_NEAR(load.fixed, 0.45, 1e-6);
}

}  // namespace
}  // namespace fairlead::manage
