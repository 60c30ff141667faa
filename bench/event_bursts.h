// SPDX-License-Identifier: Apache-2.0
//
// What the programs that measure tracers do alike: write block events (`write` gets a number and
// makes one of it), in bursts that the tracer's
// buffer holds whole, or at a steady rate; and say what one costs.
//
// In bursts: the time of each burst by the clock, divided by its events, and a pause in which the
// tracer's reader empties the buffer, so that nothing is lost.  At a rate: 64 events whenever they
// are due, without a pause in between; whether they all got through the tracer says.
//
// Thread-safety: one thread.  Units: nanoseconds, events a second.
#pragma once

#include <time.h>

#include <cstdint>
#include <string>

#include "apps/command_line.h"
#include "base/clock.h"
#include "fairlead/abi/trace.h"
#include "report.h"

namespace fairlead::bench {

struct EventPlan {
  double seconds = 1;
  double warm_up = 0.2;
  std::uint32_t burst = 16'384;  // events
  double pause = 0.02;           // seconds, after each
  double rate = 0;               // events a second; 0: bursts

  void add_to(apps::CommandLine& app) {
    app.add_option("--seconds", seconds).check(apps::positive());
    app.add_option("--warm-up", warm_up).check(apps::not_negative());
    app.add_option("--burst", burst, "events");
    app.add_option("--pause", pause, "seconds after each burst").check(apps::not_negative());
    app.add_option("--rate", rate, "events a second, without pause; 0: bursts");
  }
};

struct EventTimes {
  base::Histogram burst_ps;  // an event of each burst, picoseconds
  std::uint64_t events = 0;
  std::int64_t wall_ns = 0;
};

inline void pause_for(double seconds) {
  const auto ns = static_cast<std::int64_t>(seconds * 1e9);
  const timespec time{ns / base::kNanosPerSecond, ns % base::kNanosPerSecond};
  ::nanosleep(&time, nullptr);
}

// No two are alike.  Made only where it is to be written, as event sources do.
inline abi::BlockEvent make_event(std::uint64_t number) noexcept {
  return {.sector = number * 8,
          .request = number,
          .aux = 0,
          .bytes = 4096,
          .action = 1,
          .device = 8U << 20,
          .pid = 1,
          .cpu = 0,
          .error = 0,
          .queue = 0,
          .vm = 0};
}

template <typename Write>
EventTimes in_bursts(const EventPlan& plan, double seconds, Write&& write) {
  EventTimes times;
  const std::int64_t began = base::monotonic_ns();
  while (base::monotonic_ns() - began < static_cast<std::int64_t>(seconds * 1e9)) {
    const std::int64_t before = base::monotonic_ns();
    for (std::uint32_t i = 0; i < plan.burst; ++i) write(times.events + i);
    const std::int64_t took = base::monotonic_ns() - before;
    times.burst_ps.record(static_cast<std::uint64_t>(took) * 1000 / plan.burst);
    times.events += plan.burst;
    times.wall_ns += took;
    pause_for(plan.pause);
  }
  return times;
}

template <typename Write>
EventTimes at_rate(double rate, double seconds, Write&& write) {
  constexpr std::uint64_t kGroup = 64;
  const double group_ns = kGroup * 1e9 / rate;
  const auto groups = static_cast<std::uint64_t>(seconds * 1e9 / group_ns);
  EventTimes times;
  const std::int64_t began = base::monotonic_ns();
  for (std::uint64_t group = 0; group < groups; ++group) {
    const auto due = began + static_cast<std::int64_t>(static_cast<double>(group) * group_ns);
    while (base::monotonic_ns() < due) {
    }
    for (std::uint64_t i = 0; i < kGroup; ++i) write(group * kGroup + i);
  }
  times.events = groups * kGroup;
  times.wall_ns = base::monotonic_ns() - began;
  return times;
}

// A warm-up, then what is asked for.
template <typename Write>
EventTimes measure_events(const EventPlan& plan, Write&& write) {
  if (plan.warm_up > 0) in_bursts(plan, plan.warm_up, write);  // which touches the memory, too
  if (plan.rate > 0) return at_rate(plan.rate, plan.seconds, write);
  return in_bursts(plan, plan.seconds, write);
}

inline void add_times(base::JsonWriter& json, const EventTimes& times) {
  json.member("events", times.events).member("wall_ns", times.wall_ns);
  json.member("mean_ns", static_cast<double>(times.wall_ns) / static_cast<double>(times.events));
  json.member("events_per_second",
              static_cast<double>(times.events) * 1e9 / static_cast<double>(times.wall_ns));
  if (times.burst_ps.count() == 0) return;
  json.member("median_ns", static_cast<double>(times.burst_ps.quantile(0.5)) / 1000);
  json.member("best_ns", static_cast<double>(times.burst_ps.min()) / 1000);
}

}  // namespace fairlead::bench
