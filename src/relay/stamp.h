// SPDX-License-Identifier: Apache-2.0
//
// Time stamps that cost no system call: the processor's time stamp counter where there is one.
//
// rdtsc without a fence: it may be taken a few instructions early or late, which is less than its
// own cost.  Within a machine whose counters are synchronised (Linux then uses "tsc" as its clock
// source, or offers it) stamps of different processors compare.
//
// Thread-safety: any thread.  Unit: ticks; stamp_hz() of them a second.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>

#include "base/clock.h"
#include "fairlead/abi/relay.h"

namespace fairlead::relay {

inline std::uint64_t monotonic_raw_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return static_cast<std::uint64_t>(now.tv_sec * base::kNanosPerSecond + now.tv_nsec);
}

#if defined(__x86_64__)
inline constexpr abi::RelayClock kStampClock = abi::RelayClock::kTsc;

inline std::uint64_t stamp() noexcept { return __builtin_ia32_rdtsc(); }
#else
inline constexpr abi::RelayClock kStampClock = abi::RelayClock::kMonotonicRaw;

inline std::uint64_t stamp() noexcept { return monotonic_raw_ns(); }
#endif

// stamp(), after all that was loaded before: where an early one would make a bound a lie.
inline std::uint64_t ordered_stamp() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_lfence();
#endif
  return stamp();
}

// Measured once, against CLOCK_MONOTONIC_RAW over some milliseconds, then remembered.
std::uint64_t stamp_hz() noexcept;

std::uint64_t stamps_in(std::chrono::nanoseconds time) noexcept;
std::uint64_t ns_in(std::uint64_t stamps) noexcept;  // rounded up

// When a stamp of this host was taken, as CLOCK_MONOTONIC tells it.
struct MonotonicTime {
  std::int64_t ns = 0;
  std::uint64_t half_width_ns = 0;  // the truth is no further away
};

// By a look at both clocks now.  The bound grows with the distance, a thousandth of it: the kernel
// steers CLOCK_MONOTONIC, by 500 ppm of rate and 500 ppm of adjtime(), and stamp_hz() is good to a
// few ppm.  Whoever has it steered faster (adjtimex with a tick of its own) gets no bound that
// holds.  Beyond what 64 bits of nanoseconds can say the time is the first or last there is.
MonotonicTime monotonic_of(std::uint64_t stamp) noexcept;

}  // namespace fairlead::relay
