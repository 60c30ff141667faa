// SPDX-License-Identifier: Apache-2.0
//
// manage::CpuManager and open loads: work that arrives whatever happens, and piles up.
#include <algorithm>
#include <cstdint>
#include <cstdio>

#include <gtest/gtest.h>

#include "base/random.h"
#include "sim/cpu_trial.h"
#include "sim/testing_worlds.h"

namespace fairlead::sim {
namespace {

constexpr std::uint64_t kOpenWorlds = worlds(600, 60);

// Pins in `last` intervals after `first` ones; all loads run from the beginning, unpinned by plan.
std::uint32_t late_pins(std::uint64_t seed, double scale, std::uint32_t first, std::uint32_t last) {
  base::Random random(seed);
  const auto pcpus = static_cast<std::uint32_t>(2 + random.below(3));
  const auto guests = static_cast<std::uint32_t>(pcpus + random.below(pcpus + 1));
  CpuWorld world({.pcpus = pcpus, .seed = seed});
  for (std::uint32_t g = 0; g < guests; ++g) {
    const auto at = static_cast<std::uint32_t>(random.below(pcpus));
    const double share = std::min(scale * pcpus / guests * (0.1 + random.unit()), 1.0);
    world.add_guest({{share, true, 0.1}}, manage::CpuSet::of({at}));
  }
  CpuTrial trial(world, managed());
  trial.run(first + last);
  return trial.pins_since(first);
}

struct Restless {
  double scale;             // mean demand ÷ 0.6
  std::uint32_t first;      // intervals to work the piles off
  std::uint32_t per_mille;  // of the worlds may see a pin in the 50 after them
};

TEST(CpuOpen, SettlesWhenThePilesAreWorkedOff) {
  constexpr std::uint32_t kLast = 50;
  const Restless cases[] = {{1.0, 10, 80}, {1.0, 50, 10}, {1.2, 10, 150}, {1.2, 50, 50}};
  for (const Restless& one : cases) {
    std::uint32_t restless = 0;
    std::uint32_t most = 0;
    for (std::uint64_t seed = 1; seed <= kOpenWorlds; ++seed) {
      const std::uint32_t pins = late_pins(seed, one.scale, one.first, kLast);
      if (pins > 0) ++restless;
      most = std::max(most, pins);
    }
    std::printf(
        "open loads of %.0f %% on average, after %u intervals: pins in %u of %ju worlds, at "
        "most %u\n",
        60 * one.scale, one.first, restless, kOpenWorlds, most);
    EXPECT_LE(restless * 1000, kOpenWorlds * one.per_mille + 1000 * kSpareWorlds);
  }
}

}  // namespace
}  // namespace fairlead::sim
