// SPDX-License-Identifier: Apache-2.0
//
// Document 001's cases as simulated worlds: the suite's three of each manager and those beside them
// of docs/managers.md, each run under fairlead's manager and under the simple policies of
// cpu_trial.h and memory_trial.h.  `fairlead reproduce 001` shows them, the tests hold limits
// against them, and the figures of docs/managers.md are theirs.
//
// The policies of a case meet the same world: the same seed, the same loads at the same times.
//
// Sizes in MiB where a name says so; an interval is 2 s.  Deterministic: the same seed gives the
// same outcome.  Thread-safety: values and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "sim/cpu_trial.h"
#include "sim/memory_trial.h"

namespace fairlead::sim {

// A vCPU case has three parts: nothing runs; the loads run; they vary by kCaseJitter each way.
inline constexpr std::uint32_t kIdlePart = 3;
inline constexpr std::uint32_t kSteadyPart = 20;
inline constexpr std::uint32_t kJitterPart = 50;
inline constexpr double kCaseJitter = 0.1;

struct CpuCase {
  std::string_view name;  // of files, too
  std::string_view title;
  std::uint32_t pcpus = 0;
  std::vector<double> demands;       // closed loads, by guest; one vCPU each
  std::vector<std::uint32_t> at;     // where each is pinned at first
  std::uint32_t most_pins = 0;       // the fewest possible, and one
  std::uint32_t most_intervals = 0;  // until the first balanced one
};
const std::vector<CpuCase>& cpu_cases();

struct CpuOutcome {
  std::string_view policy;
  std::vector<CpuInterval> intervals{};
  std::uint32_t moves = 0;  // pins changed in the first two parts
  std::optional<std::uint32_t>
      intervals_to_balance{};  // intervals of load until five balanced in a row
  double deviation = 0;        // ÷ mean, of the last ten intervals without jitter
  double waiting = 0;          // of all vCPUs, in processors, likewise
  std::uint32_t jitter_moves = 0;
};
std::vector<CpuOutcome> run(const CpuCase& one, std::uint64_t seed);  // fairlead's first

struct MemoryEvent {
  std::uint32_t interval = 0;
  std::uint32_t guest = 0;
  MemoryLoad load;
};

struct MemoryCase {
  std::string_view name;
  std::string_view title;
  std::uint64_t host_bytes = 0;
  std::uint32_t guests = 4;  // of 512 to 2048 MiB, 315 in use
  std::uint32_t intervals = 0;
  std::vector<MemoryEvent> events;  // by rising interval
};
const std::vector<MemoryCase>& memory_cases();

struct MemoryOutcome {
  std::string_view policy;
  std::vector<MemoryInterval> intervals{};
  std::vector<std::vector<std::uint32_t>> killed{};  // guests, by interval
  // Of the samples in which its maximum and the host allow it, those with 100 MiB usable; of the
  // guest for which it is least.
  double comfortable = 1;
  std::size_t killed_below_maximum = 0;
  std::size_t killed_at_maximum = 0;
  double least_available_mib = 0;  // of the host
  std::uint32_t reversals = 0;     // of target sizes, the most of any guest
};
std::vector<MemoryOutcome> run(const MemoryCase& one, std::uint64_t seed);

}  // namespace fairlead::sim
