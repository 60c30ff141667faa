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

// Measured once, against CLOCK_MONOTONIC_RAW over some milliseconds, then remembered.
std::uint64_t stamp_hz() noexcept;

}  // namespace fairlead::relay
