// SPDX-License-Identifier: Apache-2.0
//
// manage::CpuManager beside the best placement there is, found by trying all of them in the same
// world: what vCPUs wait, what they get done on SMT threads and on NUMA nodes, and how it goes from
// 2 to 128 processors.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/random.h"
#include "manage/cpu_manager.h"
#include "manage/placement.h"
#include "sim/cpu_trial.h"
#include "sim/testing_worlds.h"

namespace fairlead::sim {
namespace {

using manage::CpuSet;

constexpr std::uint64_t kSmallWorlds = worlds(200, 10);
using base::kNanosPerSecond;

// Guests of one vCPU with steady closed loads.
struct Guests {
  CpuWorldOptions options;
  std::vector<double> demands;
  std::vector<std::uint32_t> at;
  std::vector<std::uint32_t> nodes;  // of their memory; empty: not bound

  void place(CpuWorld& world, const std::vector<std::uint32_t>& placement) const {
    for (std::uint32_t g = 0; g < demands.size(); ++g) {
      world.pin_by_hand(g, 0, CpuSet::of({placement[g]}));
    }
  }

  CpuWorld world(bool loaded) const {
    CpuWorld world(options);
    for (std::uint32_t g = 0; g < demands.size(); ++g) {
      world.add_guest({{loaded ? demands[g] : 0}}, CpuSet::of({at[g]}));
      if (!nodes.empty()) world.bind_memory(g, nodes[g]);
    }
    return world;
  }
};

// Every placement, for at most a few hundred thousand of them.  Where all processors are alike, one
// of those that differ by their names only.
void for_each_placement(const Guests& guests, bool alike,
                        const std::function<void(const std::vector<std::uint32_t>&)>& visit) {
  std::vector<std::uint32_t> placement(guests.demands.size());
  const std::function<void(std::size_t, std::uint32_t)> extend = [&](std::size_t next,
                                                                     std::uint32_t used) {
    if (next == placement.size()) return visit(placement);
    const std::uint32_t end =
        alike ? std::min(used + 1, guests.options.pcpus) : guests.options.pcpus;
    for (std::uint32_t p = 0; p < end; ++p) {
      placement[next] = p;
      extend(next + 1, std::max(used, p + 1));
    }
  };
  extend(0, 0);
}

struct Seen {
  double waiting = 0;
  double work = 0;
  std::uint32_t late_pins = 0;  // in 50 intervals of jitter
};

struct Best {
  double least_waiting = std::numeric_limits<double>::infinity();
  double most_work = 0;
  double least_deviation = std::numeric_limits<double>::infinity();  // of demand
  double waiting_there = 0;                                          // with the least deviation
};

Best try_all(const Guests& guests, bool alike) {
  CpuWorld world = guests.world(true);
  Best best;
  for_each_placement(guests, alike, [&](const std::vector<std::uint32_t>& placement) {
    guests.place(world, placement);
    world.advance(kNanosPerSecond);
    best.least_waiting = std::min(best.least_waiting, world.waiting());
    best.most_work = std::max(best.most_work, world.work());
    std::vector<double> loads(guests.options.pcpus);
    for (std::size_t g = 0; g < placement.size(); ++g) loads[placement[g]] += guests.demands[g];
    const double deviation = manage::spread(loads).deviation;
    if (deviation < best.least_deviation - 1e-9) {
      best.least_deviation = deviation;
      best.waiting_there = world.waiting();
    } else if (deviation < best.least_deviation + 1e-9) {
      best.waiting_there = std::min(best.waiting_there, world.waiting());
    }
  });
  return best;
}

// The loads begin at once; what is seen when it has converged.
Seen converge(const Guests& guests, const CpuPolicy& policy) {
  constexpr std::uint32_t kBefore = 2;
  constexpr std::uint32_t kIntervals = 20;
  constexpr std::uint32_t kJudged = 5;
  constexpr std::uint32_t kJitter = 50;
  CpuWorld world = guests.world(false);
  CpuTrial trial(world, policy);
  trial.run(kBefore);
  for (std::uint32_t g = 0; g < guests.demands.size(); ++g) {
    world.set_demand(g, 0, {guests.demands[g]});
  }
  trial.run(kIntervals);
  Seen seen;
  for (std::uint32_t i = 0; i < kJudged; ++i) {
    trial.run(1);
    seen.waiting += world.waiting() / kJudged;
    seen.work += world.work() / kJudged;
  }
  for (std::uint32_t g = 0; g < guests.demands.size(); ++g) {
    world.set_demand(g, 0, {guests.demands[g], false, 0.1});
  }
  trial.run(kJitter);
  seen.late_pins = trial.pins_since(kBefore + kIntervals + kJudged);
  return seen;
}

Guests random_flat(std::uint64_t seed) {
  base::Random random(seed);
  Guests guests;
  guests.options.pcpus = static_cast<std::uint32_t>(2 + random.below(3));
  guests.options.seed = seed;
  const std::uint64_t count = guests.options.pcpus + random.below(guests.options.pcpus + 1);
  const double scale = 1.2 * guests.options.pcpus / static_cast<double>(count);
  for (std::uint64_t g = 0; g < count; ++g) {
    guests.at.push_back(static_cast<std::uint32_t>(random.below(guests.options.pcpus)));
    guests.demands.push_back(std::min(scale * (0.1 + random.unit()), 1.0));
  }
  return guests;
}

// Issue: the sum of all delays after convergence, at most 1.05 times the optimum placement's.
TEST(CpuOptimum, VcpusWaitHardlyLongerThanInTheBestPlacement) {
  constexpr double kNothing = 0.05;  // of a processor: too little to be measured against
  double ours = 0;
  double most_even = 0;
  double least = 0;
  std::uint32_t judged = 0;
  std::uint32_t above = 0;
  std::uint32_t above_even = 0;
  double worst = 1;
  for (std::uint64_t seed = 1; seed <= kSmallWorlds; ++seed) {
    const Guests guests = random_flat(seed);
    const Best best = try_all(guests, true);
    const Seen seen = converge(guests, managed());
    ours += seen.waiting;
    most_even += best.waiting_there;
    least += best.least_waiting;
    if (best.least_waiting < kNothing) continue;
    ++judged;
    worst = std::max(worst, seen.waiting / best.least_waiting);
    if (seen.waiting > 1.05 * best.least_waiting) ++above;
    if (seen.waiting > 1.05 * best.waiting_there) ++above_even;
  }
  std::printf(
      "waiting: %.3f of the most even placement's, %.3f of the least; over 1.05 of the "
      "most even in %u, of the least in %u of %u, worst %.3f\n",
      ours / most_even, ours / least, above_even, above, judged, worst);
  EXPECT_LE(ours, 1.02 * least);
  EXPECT_LE(above * 20, judged + 20 * kSpareWorlds);
  EXPECT_LE(above_even * 50, judged + 50 * kSpareWorlds);
}

Guests random_topology(std::uint64_t seed, std::uint32_t threads_per_core, std::uint32_t nodes) {
  base::Random random(seed);
  Guests guests;
  guests.options = {.pcpus = 4, .threads_per_core = threads_per_core, .nodes = nodes, .seed = seed};
  const std::uint64_t count = 2 + random.below(5);
  const double scale = std::min(1.0, 4.0 / static_cast<double>(count));
  for (std::uint64_t g = 0; g < count; ++g) {
    guests.at.push_back(static_cast<std::uint32_t>(random.below(4)));
    guests.demands.push_back(scale * (0.2 + 0.8 * random.unit()));
    if (nodes > 1) guests.nodes.push_back(static_cast<std::uint32_t>(random.below(nodes)));
  }
  return guests;
}

struct Topology {
  const char* name;
  std::uint32_t threads_per_core;
  std::uint32_t nodes;
  double least;        // of what the best placements get done, over all worlds
  double least_worst;  // in one world
};

constexpr Topology kTopologies[] = {{"flat", 1, 1, 0.995, 0.98},
                                    {"SMT, two threads a core", 2, 1, 0.99, 0.95},
                                    {"NUMA, two nodes", 1, 2, 0.99, 0.95},
                                    {"both", 2, 2, 0.98, 0.85}};

// What gets done, against the best of all placements, and of a policy that sees no topology.
TEST(CpuOptimum, SmtAndNumaWorldsGetDoneWhatTheBestPlacementDoes) {
  for (const Topology& topology : kTopologies) {
    SCOPED_TRACE(topology.name);
    double ours = 0;
    double simple = 0;
    double most = 0;
    double worst = 1;
    double simple_worst = 1;
    std::uint32_t restless = 0;
    for (std::uint64_t seed = 1; seed <= kSmallWorlds / 2; ++seed) {
      const Guests guests = random_topology(seed, topology.threads_per_core, topology.nodes);
      const Best best = try_all(guests, false);
      const Seen seen = converge(guests, managed());
      const double with = seen.work;
      if (seen.late_pins > 0) ++restless;
      const double without = converge(guests, longest_first()).work;
      ours += with;
      simple += without;
      most += best.most_work;
      worst = std::min(worst, with / best.most_work);
      simple_worst = std::min(simple_worst, without / best.most_work);
    }
    std::printf(
        "%s: done %.3f of the most, at least %.3f; longest first %.3f, "
        "%.3f; pins under jitter in %u of %ju\n",
        topology.name, ours / most, worst, simple / most, simple_worst, restless, kSmallWorlds / 2);
    EXPECT_GE(ours, topology.least * most);
    EXPECT_GE(worst, topology.least_worst);
    EXPECT_LE(restless * 20, kSmallWorlds / 2 + 20 * kSpareWorlds);
  }
}

struct Tally {
  double intervals = 0;  // until balanced
  double pins = 0;
  double deviation = 0;
  std::uint32_t never = 0;
  std::uint32_t later = 0;  // pins in 50 intervals of jitter
};

void run_size(const Guests& guests, const CpuPolicy& policy, std::uint32_t worlds, Tally& sum) {
  CpuWorld world = guests.world(false);
  CpuTrial trial(world, policy);
  trial.run(2);
  for (std::uint32_t g = 0; g < guests.demands.size(); ++g) {
    world.set_demand(g, 0, {guests.demands[g]});
  }
  trial.run(15);
  const std::uint32_t after = trial.converged(2);
  if (after == 0) ++sum.never;
  sum.intervals += static_cast<double>(after) / worlds;
  sum.pins += static_cast<double>(trial.pins_since(0)) / worlds;
  const CpuInterval& last = trial.intervals().back();
  sum.deviation += last.deviation / last.mean / worlds;
  for (std::uint32_t g = 0; g < guests.demands.size(); ++g) {
    world.set_demand(g, 0, {guests.demands[g], false, 0.1});
  }
  trial.run(50);
  sum.later += trial.pins_since(2 + 15);
}

TEST(CpuOptimum, BalancesFrom2To128Processors) {
  constexpr std::uint32_t kMost = base::kSanitized ? 16 : 128;
  for (std::uint32_t pcpus = 2; pcpus <= kMost; pcpus *= 2) {
    const std::uint32_t worlds = pcpus <= 16 ? 20 : 5;
    Tally ours;
    Tally simple;
    for (std::uint64_t seed = 1; seed <= worlds; ++seed) {
      base::Random random(seed * 1000 + pcpus);
      Guests guests;
      guests.options.pcpus = pcpus;
      guests.options.seed = seed;
      for (std::uint32_t g = 0; g < 4 * pcpus; ++g) {
        guests.at.push_back(static_cast<std::uint32_t>(random.below(pcpus)));
        guests.demands.push_back(0.25 * (0.1 + random.unit()));
      }
      run_size(guests, managed(), worlds, ours);
      run_size(guests, longest_first(), worlds, simple);
    }
    std::printf(
        "%3u pCPUs, %3u vCPUs: %.1f intervals (%u never), %.1f pins, deviation %.1f %%, %u "
        "pins later; longest first: %.1f (%u never), %.1f, %.1f %%, %u\n",
        pcpus, 4 * pcpus, ours.intervals, ours.never, ours.pins, 100 * ours.deviation, ours.later,
        simple.intervals, simple.never, simple.pins, 100 * simple.deviation, simple.later);
  }
}

}  // namespace
}  // namespace fairlead::sim
