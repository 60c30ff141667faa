// SPDX-License-Identifier: Apache-2.0
//
// CpuMeter: from counters to what each vCPU used and what it would use if there were room.
//
// With r = Δrun ÷ Δt and w = Δdelay ÷ Δt, the share of time it ran and the share it waited for a
// processor, a vCPU that works and then sleeps for a fixed time (a closed load) wants exactly
// r ÷ (1 − w).  One whose work arrives whatever happens (an open load) wants less, but never less
// than r.  Where the processor has time left, nobody's demand is hidden and r is the answer; where
// it has none, the closed form is taken, and the next measurement, after a move, corrects it.
//
// What is busy beyond the vCPUs is foreign.  Of that, what the guests' own processes do besides
// their vCPUs (device emulation, timers) runs where there is room, so it says where the vCPUs are
// not: it is taken off where it was seen and spread evenly over where it may run.
//
// Demand is averaged while it only jitters, so that noise moves nothing, and follows at once when
// it changes.
//
// Deterministic, no clock: time is the samples'.  Thread-safety: none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manage/sample.h"

namespace fairlead::manage {

struct VcpuKey {
  std::string uuid;
  std::uint32_t vcpu = 0;

  auto operator<=>(const VcpuKey&) const = default;
};

struct VcpuLoad {
  VcpuKey key;
  double used = 0;     // r, of one processor
  double waiting = 0;  // w; 0 where the source has no delay
  double demand = 0;   // smoothed
  bool known = false;  // there was a sample before to compare with
};

struct PcpuLoad {
  std::uint32_t cpu = 0;
  double used = 0;     // by vCPUs, run time ÷ elapsed time
  double foreign = 0;  // by everything else, smoothed
  double fixed = 0;    // of that, what to expect here wherever vCPUs go
  double demand = 0;   // of vCPUs and what is fixed, what they would use if there were room
};

struct CpuLoads {
  std::int64_t elapsed_ns = 0;  // 0: no sample before this one, or time stood still
  std::vector<VcpuLoad> vcpus;  // in the order of the sample's guests and their vCPUs
  std::vector<PcpuLoad> pcpus;  // in the order of the sample's
};

// A load as it is now: follows a step at once, averages what jitters.
double smooth(double before, double now) noexcept;

class CpuMeter {
 public:
  CpuLoads measure(const Sample& sample);

 private:
  struct Seen {
    std::int32_t run_id = 0;
    std::uint64_t run_ns = 0;
    std::optional<std::uint64_t> delay_ns;
    double demand = 0;
    bool known = false;
    std::optional<double> closed;  // 0: an open load, 1: a closed one, as it showed itself
    VcpuLoad last;

    void learn(const VcpuLoad& load);
    void estimate(const VcpuLoad& load, bool hidden);
  };

  struct SeenPcpu {
    std::uint64_t busy_ns = 0;
    double foreign = 0;
    bool known = false;
  };

  // What a guest's process did beside its vCPUs.
  struct SeenHelpers {
    std::int32_t run_id = 0;
    std::uint64_t process_ns = 0;
    std::map<std::uint32_t, std::uint64_t> vcpus_ns;
    double used = 0;  // smoothed
    bool known = false;

    // Since `before`; empty where the two cannot be compared: a vCPU was plugged or unplugged, and
    // its time came or went with it.
    std::optional<std::uint64_t> since(const SeenHelpers& before) const;
  };

  void measure_vcpus(const Sample& sample, CpuLoads& loads);
  void measure_pcpus(const Sample& sample, CpuLoads& loads, std::vector<double>& busy);
  void measure_helpers(const Sample& sample, const CpuLoads& loads);
  void estimate_foreign(const std::vector<double>& busy, CpuLoads& loads);
  void spread_helpers(const Sample& sample, CpuLoads& loads) const;
  void estimate_demand(const Sample& sample, const std::vector<double>& busy, CpuLoads& loads);

  std::int64_t at_ns_ = 0;
  bool first_ = true;
  std::map<VcpuKey, Seen> vcpus_;
  std::map<std::uint32_t, SeenPcpu> pcpus_;
  std::map<std::string, SeenHelpers> helpers_;  // by uuid
};

}  // namespace fairlead::manage
