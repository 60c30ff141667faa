// SPDX-License-Identifier: Apache-2.0
//
// What a service counts, as one value to hand between threads, and its report in JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "block/client_port.h"
#include "block/scheduled_disk.h"
#include "block/throttle.h"

namespace fairlead::block {

struct ClientStats {
  ClientIdentity identity;
  ClientCounts counts;
  std::uint32_t outstanding = 0;
};

struct ServiceStats {
  std::string image;
  std::string engine;
  std::uint64_t sectors = 0;
  std::uint64_t generation = 0;
  std::int64_t uptime_ns = 0;
  std::int64_t idle_ns = 0;  // since the last request

  std::uint64_t requests = 0;  // of clients that left, too
  std::uint64_t answered = 0;
  std::uint64_t errors = 0;
  std::uint64_t faults = 0;  // clients ended for breaking a rule
  std::uint64_t clients_seen = 0;
  std::uint64_t doorbells = 0;
  std::uint64_t wakes = 0;

  std::uint64_t cache_lookups = 0;
  std::uint64_t cache_hits = 0;
  std::uint64_t cache_bytes = 0;
  std::uint64_t joined = 0;  // reads that waited for an identical one
  std::uint64_t device_reads = 0;
  std::uint64_t enters = 0;  // system calls of the engine
  std::uint64_t sleeps = 0;

  base::Histogram latency_ns;  // arrival in the ring seen → answer published
  std::vector<ClientStats> clients;
  std::optional<ThrottleStats> throttle{};
  std::optional<ScheduledStats> scheduled{};

  double hit_ratio() const noexcept {
    return cache_lookups == 0
               ? 0
               : static_cast<double>(cache_hits) / static_cast<double>(cache_lookups);
  }
};

// One JSON object, at most abi::kMaxReportBytes: clients that do not fit are only counted.
std::string report(const ServiceStats& stats);

}  // namespace fairlead::block
