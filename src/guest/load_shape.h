// SPDX-License-Identifier: Apache-2.0
//
// LoadShape: what a guest is to be busy with, written as one word without blanks.
//
//     cpu:equal                       count to 100000, sleep 400 us, again (document 001's load)
//     cpu:heavy  cpu:light            250000 and 30000 steps
//     cpu:steps=70000,sleep=1ms       any other closed load
//     cpu:share=25%                   this share of one processor, by its CPU clock
//     cpu:poisson=50,steps=20000      jobs that arrive by themselves, 50 a second; or periodic=50
//     cpu:heavy,for=5s/idle,for=5s    phases; the last without `for` stays, else they repeat
//     cpu:heavy,threads=2,seed=7      threads: 0 is one for each vCPU; both for all phases
//     mem:rate=20M,limit=512M         touch new pages, bytes a second, up to a limit, then hold
//     mem:limit=512M,hold=10s,free    then give all back and end; `again` starts over (sawtooth)
//     mem:cache,limit=200M            read the guest's disk: page cache, which the kernel can drop
//
// Host and agent share this file: the host refuses nonsense before it sends it.  Nothing allocates
// or throws; the agent is built without either.
//
// Thread-safety: pure functions and values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string_view>

namespace fairlead::guest {

inline constexpr std::size_t kMostPhases = 16;
inline constexpr std::uint32_t kMostLoadThreads = 64;

enum class CpuPattern : std::uint8_t { kIdle, kLoop, kShare, kPoisson, kPeriodic };

struct CpuPhase {
  CpuPattern pattern = CpuPattern::kIdle;
  std::uint64_t steps = 0;    // of the counting loop: a round (kLoop) or a job
  std::int64_t sleep_ns = 0;  // after each round (kLoop)
  double share = 0;           // of one processor, 0 to 1 (kShare)
  double rate_per_s = 0;      // of arrivals (kPoisson, kPeriodic)
  std::int64_t lasts_ns = 0;  // 0: for ever

  bool operator==(const CpuPhase&) const = default;
};

struct CpuLoad {
  std::uint32_t threads = 0;  // 0: one for each online vCPU
  std::uint64_t seed = 1;     // of the arrivals
  std::uint32_t phase_count = 0;
  std::array<CpuPhase, kMostPhases> phases{};

  bool operator==(const CpuLoad&) const = default;
};

enum class MemoryEnd : std::uint8_t { kFree, kAgain };

struct MemoryLoad {
  bool cache = false;                         // page cache of a disk, not memory of its own
  std::uint64_t rate_bytes_per_s = 20 << 20;  // what document 001's load was seen to reach
  std::uint64_t limit_bytes = 0;              // 0: until it is killed
  std::int64_t hold_ns = 0;                   // 0: for ever
  MemoryEnd end = MemoryEnd::kFree;           // after the hold

  bool operator==(const MemoryLoad&) const = default;
};

struct LoadShape {
  enum class Kind : std::uint8_t { kCpu, kMemory };
  Kind kind = Kind::kCpu;
  CpuLoad cpu;
  MemoryLoad memory;

  bool operator==(const LoadShape&) const = default;
};

// The error is a static text: what is wrong, in a few words.
std::expected<LoadShape, const char*> parse_load(std::string_view text);

// "250", "400us", "1.5s", "20M": an unsigned number and a unit from a table; used by parse_load.
std::expected<double, const char*> parse_quantity(std::string_view text, bool time);

}  // namespace fairlead::guest
