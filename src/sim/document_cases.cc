// SPDX-License-Identifier: Apache-2.0
#include "sim/document_cases.h"

#include <algorithm>

#include "manage/placement.h"

namespace fairlead::sim {
namespace {

using manage::kMiB;

constexpr std::uint64_t kHost = 16'384 * kMiB;
constexpr std::uint32_t kGuests = 4;
constexpr double kComfort = 100;  // MiB usable

std::vector<std::uint32_t> all_on_first(std::size_t guests) {
  return std::vector<std::uint32_t>(guests, 0);
}

std::vector<MemoryEvent> all_at(std::uint32_t interval, const MemoryLoad& load) {
  std::vector<MemoryEvent> events;
  events.reserve(kGuests);
  for (std::uint32_t g = 0; g < kGuests; ++g) events.push_back({interval, g, load});
  return events;
}

std::vector<MemoryEvent> two_free_two_grow() {
  std::vector<MemoryEvent> events = all_at(5, {.shape = MemoryShape::kGrow});
  for (std::uint32_t g = 0; g < 2; ++g) events.push_back({23, g, {.shape = MemoryShape::kFree}});
  return events;
}

// Rates that differ, so that who is first would get more; together they fit if all get the same.
// Then all read files, which takes whatever they were given.
std::vector<MemoryEvent> four_that_hardly_fit() {
  std::vector<MemoryEvent> events;
  events.reserve(std::size_t{2} * kGuests);
  for (std::uint32_t g = 0; g < kGuests; ++g) {
    events.push_back(
        {5, g, {.shape = MemoryShape::kGrow, .rate = 16e6 + 2e6 * g, .limit = 240 * kMiB}});
  }
  const std::vector<MemoryEvent> files =
      all_at(35, {.shape = MemoryShape::kCache, .limit = 1000 * kMiB});
  events.insert(events.end(), files.begin(), files.end());
  return events;
}

std::vector<MemoryEvent> two_grow_two_read() {
  std::vector<MemoryEvent> events;
  events.reserve(kGuests);
  for (std::uint32_t g = 0; g < kGuests; ++g) {
    const auto shape = g < 2 ? MemoryShape::kGrow : MemoryShape::kCache;
    events.push_back({10, g, {.shape = shape, .limit = 1000 * kMiB}});
  }
  return events;
}

CpuOutcome run_one(const CpuCase& one, std::uint64_t seed, std::string_view name,
                   const CpuPolicy& policy) {
  constexpr std::uint32_t kJudged = 10;
  CpuWorld world({.pcpus = one.pcpus, .seed = seed});
  for (const std::uint32_t at : one.at) world.add_guest({{0}}, manage::CpuSet::of({at}));
  CpuTrial trial(world, policy);
  trial.run(kIdlePart);
  for (std::uint32_t g = 0; g < one.demands.size(); ++g) {
    world.set_demand(g, 0, {.share = one.demands[g]});
  }
  trial.run(kSteadyPart);
  CpuOutcome outcome{.policy = name, .moves = trial.pins_since(0)};
  const std::uint32_t after = trial.converged(kIdlePart);
  if (after > 0) outcome.intervals_to_balance = after;
  for (std::size_t i = kIdlePart + kSteadyPart - kJudged; i < kIdlePart + kSteadyPart; ++i) {
    const CpuInterval& seen = trial.intervals()[i];
    outcome.deviation += seen.deviation / seen.mean / kJudged;
    outcome.waiting += seen.waiting / kJudged;
  }
  for (std::uint32_t g = 0; g < one.demands.size(); ++g) {
    world.set_demand(g, 0, {.share = one.demands[g], .jitter = kCaseJitter});
  }
  trial.run(kJitterPart);
  outcome.jitter_moves = trial.pins_since(kIdlePart + kSteadyPart);
  outcome.intervals = trial.intervals();
  return outcome;
}

// Whether the host, above its reserve, has so much for all of them.
bool enough_for_all(const MemoryCase& one, const MemoryInterval& interval) {
  const double host = static_cast<double>(one.host_bytes) / kMiB;
  double wanted = std::max(200.0, host / 20);  // or 5 %
  for (const MemoryGuestInterval& guest : interval.guests) wanted += guest.used_mib + kComfort;
  return wanted <= host;
}

// Every sample counts, but those where not even the guest's maximum or the host would allow it.
double comfortable(const MemoryCase& one, const std::vector<MemoryInterval>& intervals,
                   std::size_t guest) {
  const double maximum = static_cast<double>(MemoryGuestOptions{}.maximum) / kMiB;
  std::size_t counted = 0;
  std::size_t good = 0;
  for (const MemoryInterval& interval : intervals) {
    const MemoryGuestInterval& seen = interval.guests[guest];
    if (maximum - seen.used_mib < kComfort || !enough_for_all(one, interval)) continue;
    ++counted;
    if (seen.usable_mib >= kComfort) ++good;
  }
  return counted == 0 ? 1 : static_cast<double>(good) / static_cast<double>(counted);
}

MemoryOutcome run_one(const MemoryCase& one, std::uint64_t seed, std::string_view name,
                      const MemoryPolicy& policy) {
  MemoryWorld world(one.host_bytes, seed);
  for (std::uint32_t g = 0; g < one.guests; ++g) world.add_guest({});
  MemoryTrial trial(world, policy);
  MemoryOutcome outcome{.policy = name};
  auto event = one.events.begin();
  for (std::uint32_t i = 0; i < one.intervals; ++i) {
    for (; event != one.events.end() && event->interval == i; ++event) {
      world.set_load(event->guest, event->load);
    }
    const std::size_t before = world.kills().size();
    trial.run(1);
    outcome.killed.emplace_back();
    for (std::size_t k = before; k < world.kills().size(); ++k) {
      const MemoryKill& kill = world.kills()[k];
      outcome.killed.back().push_back(kill.guest);
      ++(kill.at_maximum ? outcome.killed_at_maximum : outcome.killed_below_maximum);
    }
  }
  outcome.intervals = trial.intervals();
  outcome.least_available_mib = trial.least_available_mib();
  for (std::uint32_t g = 0; g < one.guests; ++g) {
    outcome.comfortable = std::min(outcome.comfortable, comfortable(one, outcome.intervals, g));
    outcome.reversals = std::max(outcome.reversals, trial.reversals(g));
  }
  return outcome;
}

}  // namespace

const std::vector<CpuCase>& cpu_cases() {
  static const std::vector<double> equal(8, 0.45);
  static const std::vector<double> mixed{.9, .9, .9, .9, .2, .2, .2, .2};
  static const std::vector<CpuCase> cases{
      {"vcpu-1-all-on-one", "eight on one processor, 45 % each", 4, equal, all_on_first(8), 7, 2},
      {"vcpu-1-all-they-get", "eight on one processor, all they can get", 4,
       std::vector<double>(8, 1), all_on_first(8), 7, 2},
      {"vcpu-2-half-and-half",
       "half on one, half on another, 45 % each",
       4,
       equal,
       {0, 0, 0, 0, 1, 1, 1, 1},
       5,
       2},
      {"vcpu-3-balanced", "two each, 45 %", 4, equal, {0, 0, 1, 1, 2, 2, 3, 3}, 0, 1},
      {"vcpu-mixed-on-one", "four at 90 %, four at 20 %, all on one", 4, mixed, all_on_first(8), 9,
       4},
      {"vcpu-mixed-together",
       "four at 90 %, four at 20 %, the heavy ones together",
       4,
       mixed,
       {0, 0, 1, 1, 2, 2, 3, 3},
       5,
       4},
      {"vcpu-two-processors", "four on the first of two, 45 % each", 2, std::vector<double>(4, .45),
       all_on_first(4), 3, 2},
  };
  return cases;
}

std::vector<CpuOutcome> run(const CpuCase& one, std::uint64_t seed) {
  std::vector<CpuOutcome> outcomes;
  outcomes.push_back(run_one(one, seed, "fairlead", managed()));
  outcomes.push_back(run_one(one, seed, "longest first", longest_first()));
  outcomes.push_back(run_one(one, seed, "one smallest move", one_smallest_move()));
  return outcomes;
}

const std::vector<MemoryCase>& memory_cases() {
  static const std::vector<MemoryCase> cases{
      {"memory-1-one-grows",
       "one of four grows to its maximum and frees all",
       kHost,
       kGuests,
       80,
       {{5, 0, {.shape = MemoryShape::kGrow}}}},
      {"memory-2-all-grow", "all four grow together and drain", kHost, kGuests, 105,
       all_at(5, {.shape = MemoryShape::kGrow})},
      {"memory-3-two-free", "two of four free, on a host of 5500 MiB", 5500 * kMiB, kGuests, 100,
       two_free_two_grow()},
      {"memory-scarce", "four grow by 240 MiB, then read files, on a host of 2600 MiB", 2600 * kMiB,
       kGuests, 60, four_that_hardly_fit()},
      {"memory-files", "two grow by 1000 MiB, two read files, on a host of 4 GiB", 4096 * kMiB,
       kGuests, 70, two_grow_two_read()},
  };
  return cases;
}

std::vector<MemoryOutcome> run(const MemoryCase& one, std::uint64_t seed) {
  std::vector<MemoryOutcome> outcomes;
  outcomes.push_back(run_one(one, seed, "fairlead", managed_memory()));
  outcomes.push_back(run_one(one, seed, "fixed deficit", fixed_deficit()));
  outcomes.push_back(run_one(one, seed, "proportional", proportional()));
  return outcomes;
}

}  // namespace fairlead::sim
