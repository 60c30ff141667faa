// SPDX-License-Identifier: Apache-2.0
//
// Time per lookup and per miss + insert, against the copy alone; hit ratios of SectorCache and LRU
// at the same bytes, as counters.
#include <algorithm>
#include <array>

#include <benchmark/benchmark.h>

#include "disk/cache_traces.h"
#include "disk/lru_cache.h"
#include "disk/sector_cache.h"

namespace fairlead::disk {
namespace {

const std::byte kBytes[kSectorBytes]{};

void copy_alone(benchmark::State& state) {
  SectorArray array(5000, kSectorBytes);
  std::uint32_t slot = 0;
  for (auto _ : state) {
    array.fill(slot, kBytes);
    slot = slot == 4999 ? 0 : slot + 1;
    benchmark::ClobberMemory();
  }
}
BENCHMARK(copy_alone);

template <typename Cache>
void read_trace(benchmark::State& state, const Trace& trace) {
  Cache cache(kTraceBudget);
  std::size_t at = 0;
  for (auto _ : state) {
    if (cache.lookup(trace[at]) == nullptr) cache.insert(trace[at], kBytes);
    if (++at == trace.size()) at = 0;
  }
  state.counters["hit_ratio"] =
      static_cast<double>(cache.hits()) / static_cast<double>(cache.lookups());
}

template <typename Cache>
void miss_and_insert(benchmark::State& state) {
  static const Trace trace = zipf_trace(0, 1);
  read_trace<Cache>(state, trace);
}
BENCHMARK(miss_and_insert<SectorCache>);
BENCHMARK(miss_and_insert<LruCache>);

template <typename Cache>
void zipf_reads(benchmark::State& state) {
  static const Trace trace = zipf_trace(0.99, 4);
  read_trace<Cache>(state, trace);
}
BENCHMARK(zipf_reads<SectorCache>);
BENCHMARK(zipf_reads<LruCache>);

template <typename Cache>
void hits_only(benchmark::State& state) {
  Cache cache(kTraceBudget);
  for (std::uint64_t s = 0; s < 4000; ++s) cache.insert(s, kBytes);
  std::uint64_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cache.lookup(at));
    at = (at + 1237) % 4000;
  }
}
BENCHMARK(hits_only<SectorCache>);
BENCHMARK(hits_only<LruCache>);

// Not a time but a table: hit ratios over each trace, three seeds, the median.
template <typename Make>
void hit_ratios(benchmark::State& state, Make make) {
  const auto median = [](std::array<double, 3> three) {
    std::sort(three.begin(), three.end());
    return three[1];
  };
  for (auto _ : state) {
    std::array<double, 3> ours{};
    std::array<double, 3> lru{};
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      const Trace trace = make(seed);
      ours[seed - 1] = hit_ratio<SectorCache>(trace);
      lru[seed - 1] = hit_ratio<LruCache>(trace);
    }
    state.counters["ours"] = median(ours);
    state.counters["lru"] = median(lru);
    state.counters["ratio"] = median(ours) / median(lru);
  }
}
#define FL_HIT_RATIOS(name, make) \
  BENCHMARK_CAPTURE(hit_ratios, name, make)->Iterations(1)->Unit(benchmark::kMillisecond)
FL_HIT_RATIOS(uniform, [](std::uint64_t seed) { return zipf_trace(0, seed); });
FL_HIT_RATIOS(zipf_0_6, [](std::uint64_t seed) { return zipf_trace(0.6, seed); });
FL_HIT_RATIOS(zipf_0_8, [](std::uint64_t seed) { return zipf_trace(0.8, seed); });
FL_HIT_RATIOS(zipf_0_99, [](std::uint64_t seed) { return zipf_trace(0.99, seed); });
FL_HIT_RATIOS(scan, scan_trace);
FL_HIT_RATIOS(shifting, shifting_trace);
FL_HIT_RATIOS(window, window_trace);

}  // namespace
}  // namespace fairlead::disk
