// SPDX-License-Identifier: Apache-2.0
//
// Tests and benchmarks only.  Traces of sectors to read, and a cache's hit ratio over one: a miss
// is followed by the insert, the first quarter is not counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "disk/io_request.h"
#include "disk/zipf.h"

namespace fairlead::disk {

inline constexpr std::uint64_t kTraceSectors = 524'288;  // an image of 256 MiB
inline constexpr std::uint64_t kTraceBudget = kTraceSectors * kSectorBytes / 100;
inline constexpr std::size_t kTraceLength = 2'000'000;

using Trace = std::vector<std::uint64_t>;

inline Trace zipf_trace(double s, std::uint64_t seed, std::size_t length = kTraceLength) {
  const Zipf zipf(kTraceSectors, s);
  const Scatter scatter(kTraceSectors);
  base::Random random(seed);
  Trace trace(length);
  for (auto& sector : trace) sector = scatter(zipf.rank(random));
  return trace;
}

// Turns of 1000: Zipf 0.99, then a scan that goes on where it stopped.
inline Trace scan_trace(std::uint64_t seed) {
  Trace trace = zipf_trace(0.99, seed);
  std::uint64_t next = 0;
  for (std::size_t i = 0; i < trace.size(); ++i) {
    if (i / 1000 % 2 == 1) trace[i] = next++ % kTraceSectors;
  }
  return trace;
}

// Zipf 0.99 whose ranks move to other sectors every 100 000 reads.
inline Trace shifting_trace(std::uint64_t seed) {
  Trace trace = zipf_trace(0.99, seed);
  for (std::size_t i = 0; i < trace.size(); ++i) {
    trace[i] = (trace[i] + i / 100'000 * 7919) % kTraceSectors;
  }
  return trace;
}

// Uniform over 4000 sectors, less than the cache; the window moves 1500 every 20 000 reads.
inline Trace window_trace(std::uint64_t seed) {
  base::Random random(seed);
  Trace trace(kTraceLength);
  for (std::size_t i = 0; i < trace.size(); ++i) {
    trace[i] = (i / 20'000 * 1500 + random.below(4000)) % kTraceSectors;
  }
  return trace;
}

template <typename Cache>
double hit_ratio(const Trace& trace, std::uint64_t budget_bytes = kTraceBudget) {
  Cache cache(budget_bytes);
  const std::byte bytes[kSectorBytes]{};
  std::uint64_t lookups = 0;
  std::uint64_t hits = 0;
  for (std::size_t i = 0; i < trace.size(); ++i) {
    if (i == trace.size() / 4) {
      lookups = cache.lookups();
      hits = cache.hits();
    }
    if (cache.lookup(trace[i]) == nullptr) cache.insert(trace[i], bytes);
  }
  return static_cast<double>(cache.hits() - hits) / static_cast<double>(cache.lookups() - lookups);
}

}  // namespace fairlead::disk
