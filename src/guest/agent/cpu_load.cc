// SPDX-License-Identifier: Apache-2.0
//
// The CPU loads.  A step is one turn of a counting loop that the compiler may not shorten, as in
// document 001's iambusy.
#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/clock.h"
#include "base/random.h"
#include "guest/agent/loads.h"

namespace fairlead::guest {
namespace {

using base::kNanosPerSecond;
using base::monotonic_ns;

constexpr std::int64_t kPeriodNs = 10'000'000;  // of a share
constexpr std::uint64_t kChunkSteps = 5'000;    // between looks at the clock
constexpr std::int64_t kForEver = INT64_MAX;

void count(std::uint64_t steps) {
  for (volatile std::uint64_t i = 0; i < steps;) i = i + 1;
}

std::int64_t cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * kNanosPerSecond + now.tv_nsec;
}

void sleep_until(std::int64_t when_ns) {
  const timespec when{when_ns / kNanosPerSecond, when_ns % kNanosPerSecond};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr) != 0) {
  }
}

void run_loop(const CpuPhase& phase, std::int64_t end_ns, LoadProgress& progress) {
  for (std::int64_t now = monotonic_ns(); now < end_ns; now = monotonic_ns()) {
    count(phase.steps);
    ++progress.rounds;
    if (phase.sleep_ns > 0) sleep_until(monotonic_ns() + phase.sleep_ns);
  }
}

// Spends share × elapsed on its own CPU clock; what it missed it catches up, up to one period.
void run_share(const CpuPhase& phase, std::int64_t end_ns, LoadProgress& progress) {
  const auto budget = static_cast<std::int64_t>(phase.share * kPeriodNs);
  std::int64_t goal = cpu_ns();
  for (std::int64_t next = monotonic_ns(); next < end_ns;) {
    goal = std::max(goal + budget, cpu_ns() - kPeriodNs);
    while (cpu_ns() < goal) {
      count(kChunkSteps);
      ++progress.rounds;
    }
    next = std::max(next + kPeriodNs, monotonic_ns() - kPeriodNs);
    sleep_until(next);
  }
}

// Jobs that come whether or not the one before is done; they wait in line.
void run_arrivals(const CpuPhase& phase, std::int64_t end_ns, base::Random& random,
                  LoadProgress& progress) {
  auto next = static_cast<double>(monotonic_ns());
  const double mean_ns = 1e9 / phase.rate_per_s;
  while (true) {
    next +=
        phase.pattern == CpuPattern::kPoisson ? -std::log(1 - random.unit()) * mean_ns : mean_ns;
    const auto due = static_cast<std::int64_t>(std::min(next, 9e18));
    sleep_until(std::min(due, end_ns));
    if (due >= end_ns || monotonic_ns() >= end_ns) return;
    count(phase.steps);
    ++progress.rounds;
  }
}

}  // namespace

void run_cpu_load(const CpuLoad& load, std::uint64_t thread, LoadProgress& progress) {
  base::Random random(load.seed + thread * 0x9e3779b97f4a7c15);
  for (std::uint32_t i = 0;; i = (i + 1) % load.phase_count) {
    const CpuPhase& phase = load.phases[i];
    const std::int64_t end_ns = phase.lasts_ns == 0 ? kForEver : monotonic_ns() + phase.lasts_ns;
    switch (phase.pattern) {
      case CpuPattern::kIdle: sleep_until(end_ns); break;
      case CpuPattern::kLoop: run_loop(phase, end_ns, progress); break;
      case CpuPattern::kShare: run_share(phase, end_ns, progress); break;
      case CpuPattern::kPoisson:
      case CpuPattern::kPeriodic: run_arrivals(phase, end_ns, random, progress); break;
    }
  }
}

}  // namespace fairlead::guest
