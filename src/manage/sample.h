// SPDX-License-Identifier: Apache-2.0
//
// Sample: what a hypervisor shows at one moment, raw.  Counters are as they were read; rates, ages
// and everything else that needs a second look are made by the meters.  A field that the source did
// not have is empty: "no data" is never 0.
//
// Sizes in bytes, times in nanoseconds unless the name says otherwise.  What a guest reports about
// itself (all of BalloonSample but current, maximum and rss) is untrusted: bound it before use.
//
// Thread-safety: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "manage/cpu_set.h"

namespace fairlead::manage {

enum class GuestState : std::uint8_t { kRunning, kPaused, kOther };

struct VcpuSample {
  std::uint32_t index = 0;                // within its guest, as libvirt numbers it
  bool online = true;                     // plugged in
  std::uint64_t run_ns = 0;               // time on a processor since the guest started
  std::optional<std::uint64_t> delay_ns;  // time runnable but waiting for one (schedstat)
  CpuSet allowed;                         // its affinity mask

  bool operator==(const VcpuSample&) const = default;
};

// virDomainMemoryStats and "balloon.*" of the bulk statistics, by tag.
struct BalloonSample {
  std::uint64_t current_bytes = 0;  // balloon target reached so far, as the hypervisor knows it
  std::uint64_t maximum_bytes = 0;
  std::optional<std::uint64_t> rss_bytes;        // of the hypervisor's process on the host
  std::optional<std::uint64_t> usable_bytes;     // the guest's MemAvailable
  std::optional<std::uint64_t> unused_bytes;     // its MemFree
  std::optional<std::uint64_t> available_bytes;  // its MemTotal
  std::optional<std::uint64_t> swap_in_bytes;    // since it started
  std::optional<std::uint64_t> major_faults;     // since it started
  std::optional<std::int64_t> updated_s;         // wall clock of the guest's last report; 0: never

  bool operator==(const BalloonSample&) const = default;
};

struct GuestSample {
  std::string uuid;         // what commands name it by
  std::string name;         // for people
  std::int32_t run_id = 0;  // differs each time the guest is started; counters then begin anew
  GuestState state = GuestState::kRunning;
  std::vector<VcpuSample> vcpus;
  // Of the hypervisor's process, since it started: vCPUs, device emulation, timers, vhost.
  std::optional<std::uint64_t> process_ns{};
  CpuSet helpers_allowed{};  // affinity mask of its threads that are no vCPU; empty: not known
  std::optional<BalloonSample> memory;       // empty: no balloon device, or not asked for
  std::optional<std::uint32_t> memory_node;  // NUMA node that its memory is bound to

  bool operator==(const GuestSample&) const = default;
};

// One online processor of the host.
struct PcpuSample {
  std::uint32_t cpu = 0;
  std::uint64_t busy_ns = 0;  // everything but idle, iowait and nice; with guests (/proc/stat)
  std::uint32_t core = 0;     // the same for SMT siblings, different for all others
  std::uint32_t cache = 0;    // the same for those that share a last-level cache
  std::uint32_t node = 0;     // NUMA

  bool operator==(const PcpuSample&) const = default;
};

struct HostMemory {
  std::uint64_t total_bytes = 0;
  std::uint64_t available_bytes = 0;    // MemAvailable of /proc/meminfo
  std::optional<double> pressure_some;  // /proc/pressure/memory, some avg10, percent

  bool operator==(const HostMemory&) const = default;
};

struct Sample {
  std::int64_t at_ns = 0;         // monotonic
  std::int64_t wall_s = 0;        // seconds since the epoch, the clock of BalloonSample::updated_s
  std::vector<PcpuSample> pcpus;  // by rising number
  HostMemory memory;
  std::vector<GuestSample> guests;  // running and paused ones, by rising uuid

  bool operator==(const Sample&) const = default;
};

}  // namespace fairlead::manage
