// SPDX-License-Identifier: Apache-2.0
#include "sim/cpu_world.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace fairlead::sim {
namespace {

using manage::CpuSet;

using base::kNanosPerSecond;

struct Rates {
  double used;
  double waited;
};

std::vector<Rates> rates(CpuWorld& world, std::int64_t step_ns = kNanosPerSecond) {
  world.advance(step_ns);  // so that slow-downs have settled
  const auto before = *world.sample();
  world.advance(step_ns);
  const auto after = *world.sample();
  std::vector<Rates> rates;
  for (std::size_t g = 0; g < after.guests.size(); ++g) {
    const auto& a = before.guests[g].vcpus[0];
    const auto& b = after.guests[g].vcpus[0];
    rates.push_back(
        {static_cast<double>(b.run_ns - a.run_ns) / static_cast<double>(step_ns),
         static_cast<double>(*b.delay_ns - *a.delay_ns) / static_cast<double>(step_ns)});
  }
  return rates;
}

TEST(CpuWorld, AloneEachGetsWhatItWants) {
  CpuWorld world({.pcpus = 2, .ticks = false});
  world.add_guest({{0.9}}, CpuSet::of({0}));
  world.add_guest({{0.25, true}}, CpuSet::of({1}));
  const auto seen = rates(world);
  EXPECT_NEAR(seen[0].used, 0.9, 1e-6);
  EXPECT_NEAR(seen[1].used, 0.25, 1e-6);
  EXPECT_NEAR(seen[0].waited + seen[1].waited, 0, 1e-6);
}

// Reference: eight on one processor each read an eighth, and run ÷ (1 − wait) is the demand.
TEST(CpuWorld, ContentionHidesDemandAndWaitingShowsIt) {
  CpuWorld world({.pcpus = 1, .ticks = false});
  const std::vector<double> wanted{0.9, 0.9, 0.5, 0.5, 0.5, 0.2, 0.2, 0.2};
  for (const double want : wanted) world.add_guest({{want}}, CpuSet::of({0}));
  double total = 0;
  const auto seen = rates(world);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    total += seen[i].used;
    EXPECT_LT(seen[i].used, 0.2);
    EXPECT_NEAR(seen[i].used / (1 - seen[i].waited), wanted[i], 0.02);
  }
  EXPECT_NEAR(total, 1, 0.03) << "mean value analysis is near, not exact";
}

TEST(CpuWorld, OpenWorkPilesUpAndIsDoneLater) {
  CpuWorld world({.pcpus = 2, .ticks = false});
  world.add_guest({{0.8, true}}, CpuSet::of({0}));
  world.add_guest({{0.8, true}}, CpuSet::of({0}));
  for (int i = 0; i < 5; ++i) world.advance(kNanosPerSecond);
  world.pin_by_hand(1, 0, CpuSet::of({1}));
  auto seen = rates(world);
  EXPECT_NEAR(seen[1].used, 1, 1e-6) << "the pile is gone too soon";
  for (int i = 0; i < 20; ++i) world.advance(kNanosPerSecond);
  seen = rates(world);
  EXPECT_NEAR(seen[1].used, 0.8, 1e-6);
}

TEST(CpuWorld, NoProcessorRestsBesideAPile) {
  CpuWorld world({.pcpus = 2, .ticks = false});
  world.add_guest({{0.85, true}}, CpuSet::of({0}));
  world.add_guest({{0.10, true}}, CpuSet::of({0}));
  world.add_guest({{0.80, true}}, CpuSet::of({1}));
  world.add_guest({{0.45}}, CpuSet::of({1}));
  for (int i = 0; i < 50; ++i) world.advance(kNanosPerSecond);
  const auto seen = rates(world);
  EXPECT_NEAR(seen[0].used, 0.85, 1e-6) << "95 % fit, and nothing piles up";
  EXPECT_NEAR(seen[1].used, 0.10, 1e-6);
  EXPECT_NEAR(world.utilisation()[1], 1, 1e-6);
}

// Time on the processor grows as the speed falls; what gets done does not, if there is time.
TEST(CpuWorld, MemoryOnAnotherNodeSlows) {
  CpuWorld world({.pcpus = 2, .nodes = 2, .remote_capacity = 0.8, .ticks = false});
  world.add_guest({{0.5, true}}, CpuSet::of({1}));
  world.bind_memory(0, 0);
  for (int i = 0; i < 20; ++i) world.advance(kNanosPerSecond);
  EXPECT_NEAR(rates(world)[0].used, 0.625, 1e-6);
  EXPECT_NEAR(world.work(), 0.5, 1e-6);
  world.pin_by_hand(0, 0, CpuSet::of({0}));
  EXPECT_NEAR(rates(world)[0].used, 0.5, 1e-6);
  EXPECT_NEAR(world.work(), 0.5, 1e-6);
  world.set_demand(0, 0, {0.5});
  EXPECT_NEAR(rates(world)[0].used, 0.5, 1e-6);
  world.pin_by_hand(0, 0, CpuSet::of({1}));
  EXPECT_NEAR(rates(world)[0].used, 1 / 1.8, 1e-6) << "a unit of work in 1.25, a unit of sleep";
  EXPECT_NEAR(world.work(), 0.8 / 1.8, 1e-6);
}

// 0.9 arrive a second and 0.8 are done; ten seconds later a second's work has piled up.
TEST(CpuWorld, APileOfWorkIsDoneAtTheSpeedOfWhereItIsDone) {
  CpuWorld world({.pcpus = 2, .nodes = 2, .remote_capacity = 0.8, .ticks = false});
  world.add_guest({{0.9, true}}, CpuSet::of({1}));
  world.bind_memory(0, 0);
  for (int i = 0; i < 10; ++i) world.advance(kNanosPerSecond);
  EXPECT_NEAR(world.work(), 0.8, 1e-6);
  world.pin_by_hand(0, 0, CpuSet::of({0}));
  for (int i = 0; i < 10; ++i) {
    world.advance(kNanosPerSecond);
    EXPECT_NEAR(world.work(), 1, 1e-6);
  }
  world.advance(kNanosPerSecond);
  EXPECT_NEAR(world.work(), 0.9, 1e-6);
}

TEST(CpuWorld, ForeignLoadAndSiblingsTakeTheirShare) {
  CpuWorld world({.pcpus = 2, .threads_per_core = 2, .ticks = false});
  world.add_guest({{1}}, CpuSet::of({0}));
  world.add_guest({{1}}, CpuSet::of({1}));
  world.set_foreign(1, 0.5);
  const auto seen = rates(world);
  EXPECT_NEAR(seen[1].used, 0.5, 0.01);
  EXPECT_NEAR(world.utilisation()[1], 1, 0.01);
  world.set_online(1, false);
  world.advance(kNanosPerSecond);
  EXPECT_EQ(world.utilisation().size(), 1U);
}

TEST(CpuWorld, HelpersRunWhereThereIsRoom) {
  CpuWorld world({.pcpus = 2, .ticks = false});
  for (int i = 0; i < 2; ++i) {
    world.add_guest({{0.5}}, CpuSet::of({0}));
    world.set_helpers(static_cast<std::uint32_t>(i), 0.2);
  }
  const auto seen = rates(world);
  EXPECT_NEAR(world.utilisation()[0], seen[0].used + seen[1].used, 1e-9);
  EXPECT_NEAR(world.utilisation()[1], 0.4, 1e-9);
  world.pin_by_hand(1, 0, CpuSet::of({1}));
  world.advance(kNanosPerSecond);
  EXPECT_NEAR(world.utilisation()[0], world.utilisation()[1], 0.01);
  const auto sample = *world.sample();
  const auto& guest = sample.guests[0];
  ASSERT_TRUE(guest.process_ns);
  EXPECT_NEAR(static_cast<double>(*guest.process_ns - guest.vcpus[0].run_ns),
              0.2 * static_cast<double>(sample.at_ns), 1.0);
}

TEST(CpuWorld, TheSameSeedIsTheSameWorld) {
  const auto run = [] {
    CpuWorld world({.pcpus = 2, .seed = 42});
    for (int i = 0; i < 4; ++i) world.add_guest({{0.4, i % 2 == 0, 0.3}}, CpuSet::first(2));
    for (int i = 0; i < 10; ++i) world.advance(kNanosPerSecond / 3);
    return *world.sample();
  };
  EXPECT_EQ(run(), run());
}

TEST(CpuWorld, RebootAndRemovalAreSeen) {
  CpuWorld world({});
  const auto guest = world.add_guest({{0.5}}, CpuSet::of({0}));
  world.advance(kNanosPerSecond);
  const auto before = *world.sample();
  world.reboot(guest);
  const auto after = *world.sample();
  EXPECT_NE(after.guests[0].run_id, before.guests[0].run_id);
  EXPECT_EQ(after.guests[0].vcpus[0].run_ns, 0U);
  world.remove_guest(guest);
  EXPECT_TRUE(world.sample()->guests.empty());
  EXPECT_EQ(world.pin(before.guests[0].uuid, 0, CpuSet::of({1})).error().kind(),
            base::ErrorKind::kNotFound);
}

}  // namespace
}  // namespace fairlead::sim
