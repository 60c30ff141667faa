// SPDX-License-Identifier: Apache-2.0
//
// manage::MemoryManager where somebody suffers already: guests that page, and a host that waits for
// memory.  Each is compared with a manager that is not shown it, in the same world.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "sim/memory_trial.h"
#include "sim/testing_worlds.h"

namespace fairlead::sim {
namespace {

using manage::kMiB;

manage::MemorySettings with_pool(std::uint64_t mib) {
  manage::MemorySettings settings;
  settings.pool_bytes = mib * kMiB;
  return settings;
}

// Does not see who pages and what the host waits for.
MemoryPolicy blind(manage::MemorySettings settings = {}) {
  return [policy = managed_memory(std::move(settings))](manage::Sample sample) {
    sample.memory.pressure_some.reset();
    for (auto& guest : sample.guests) {
      if (!guest.memory) continue;
      guest.memory->swap_in_bytes.reset();
      guest.memory->major_faults.reset();
    }
    return policy(sample);
  };
}

// A guest of whose programs 1000 MiB lie in swap is wanted again: intervals until it has 100 MiB
// usable.
std::uint32_t short_for(const MemoryPolicy& policy, double touch_mib) {
  MemoryWorld world(16 * kGiB);
  world.add_guest({.swap = 2 * kGiB});
  world.set_load(0, {.shape = MemoryShape::kGrow, .rate = 2000.0 * kMiB, .limit = 1200 * kMiB});
  world.advance(10'000'000'000);
  world.set_load(0, {.shape = MemoryShape::kHold, .touch = touch_mib * kMiB});
  MemoryTrial trial(world, policy);
  trial.run(30);
  return static_cast<std::uint32_t>(std::ranges::count_if(
      trial.intervals(), [](const auto& i) { return i.guests[0].usable_mib < 100; }));
}

TEST(MemoryUrgency, AGuestThatPagesGetsItsMemorySooner) {
  std::uint32_t all_seen = 0;
  std::uint32_t all_unseen = 0;
  for (const double touch_mib : {10.0, 20.0, 50.0, 100.0, 200.0}) {
    const std::uint32_t seen = short_for(managed_memory(), touch_mib);
    const std::uint32_t unseen = short_for(blind(), touch_mib);
    std::printf("%.0f MiB/s wanted again: short for %u intervals, unseen %u\n", touch_mib, seen,
                unseen);
    EXPECT_LE(seen, unseen);
    all_seen += seen;
    all_unseen += unseen;
  }
  EXPECT_LT(all_seen, all_unseen);
}

// One guest's programs use more than it can have, and two others' do not: MiB that it reads back in
// 240 s.
double read_back(const MemoryPolicy& policy) {
  MemoryWorld world(16 * kGiB);
  world.add_guest({.swap = 2 * kGiB});
  world.set_load(0, {.shape = MemoryShape::kGrow,
                     .rate = 50.0 * kMiB,
                     .limit = 600 * kMiB,
                     .touch = 100.0 * kMiB});
  for (std::uint32_t g = 1; g <= 2; ++g) {
    world.add_guest({});
    world.set_load(g, {.shape = MemoryShape::kGrow, .limit = 200 * kMiB});
  }
  MemoryTrial trial(world, policy);
  trial.run(120);
  EXPECT_TRUE(world.kills().empty());
  return world.truth(0).swapped_in_mib;
}

TEST(MemoryUrgency, ScarceMemoryGoesToWhoPages) {
  double all_seen = 0;
  double all_unseen = 0;
  for (const std::uint64_t pool_mib : {1700, 1800, 1900, 2000, 2100}) {
    const double seen = read_back(managed_memory(with_pool(pool_mib)));
    const double unseen = read_back(blind(with_pool(pool_mib)));
    std::printf("pool of %ju MiB: %.0f MiB read back, unseen %.0f\n", pool_mib, seen, unseen);
    EXPECT_LE(seen, unseen);
    all_seen += seen;
    all_unseen += unseen;
  }
  EXPECT_LT(all_seen, 0.95 * all_unseen);
}

// Beside three that grow: the largest target of a guest that lies, or does not.
double largest_target(GuestLie lie, std::uint64_t base_mib, std::uint64_t pool_mib) {
  MemoryWorld world(16 * kGiB);
  world.add_guest({.base = base_mib * kMiB, .lie = lie});
  for (std::uint32_t g = 1; g < 4; ++g) {
    world.add_guest({});
    world.set_load(g, {.shape = MemoryShape::kGrow, .limit = 400 * kMiB});
  }
  MemoryTrial trial(world, managed_memory(with_pool(pool_mib)));
  double most = 0;
  for (int i = 0; i < 60; ++i) {
    trial.run(1);
    most = std::max(most, trial.intervals().back().guests[0].target_mib);
  }
  return most;
}

TEST(MemoryUrgency, AGuestThatLiesAboutItGainsLittle) {
  double gain = 0;
  for (const std::uint64_t base_mib : {315, 400, 450, 490, 500}) {
    for (const std::uint64_t pool_mib : {1900, 2200, 2600, 4000}) {
      gain = std::max(gain, largest_target(GuestLie::kPages, base_mib, pool_mib) -
                                largest_target(GuestLie::kNone, base_mib, pool_mib));
    }
  }
  std::printf("a guest that says it pages gains %.0f MiB at most\n", gain);
  EXPECT_LE(gain, 100);
}

// Guests that have learned to be patient have more than they use for a while; then foreign programs
// take all of the host's memory but `left_mib`.  The share of the next 30 s for which somebody
// waits.
double mean_pressure(const MemoryPolicy& policy, double left_mib) {
  MemoryWorld world(5 * kGiB);
  for (std::uint32_t g = 0; g < 4; ++g) {
    world.add_guest({.base = 300 * kMiB});
    world.set_load(g, {.shape = MemoryShape::kSawtooth, .rate = 8.3 * kMiB, .limit = 200 * kMiB});
  }
  MemoryTrial trial(world, policy);
  trial.run(100);
  for (std::uint32_t g = 0; g < 4; ++g) {
    world.set_load(g,
                   {.shape = MemoryShape::kGrowAndFree, .rate = 50.0 * kMiB, .limit = 200 * kMiB});
  }
  trial.run(8);
  world.set_foreign(static_cast<std::uint64_t>(world.available_mib() - left_mib) * kMiB);
  constexpr int kIntervals = 15;
  double sum = 0;
  for (int i = 0; i < kIntervals; ++i) {
    trial.run(1);
    sum += world.sample()->memory.pressure_some.value_or(0);
  }
  EXPECT_TRUE(world.kills().empty());
  return sum / kIntervals;
}

TEST(MemoryUrgency, AHostThatWaitsGetsMemoryAtOnce) {
  for (const double left_mib : {260.0, 300.0, 350.0}) {
    const double seen = mean_pressure(managed_memory(), left_mib);
    const double unseen = mean_pressure(blind(), left_mib);
    std::printf("%.0f MiB left: the host waits %.0f %% of the time, unseen %.0f %%\n", left_mib,
                seen, unseen);
    EXPECT_LT(seen, 0.75 * unseen);
  }
}

}  // namespace
}  // namespace fairlead::sim
