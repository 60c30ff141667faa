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
  double demand = 0;   // of both, what they would use if there were room
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

  void measure_vcpus(const Sample& sample, CpuLoads& loads);
  void measure_pcpus(const Sample& sample, CpuLoads& loads, std::vector<double>& busy);
  void estimate_demand(const Sample& sample, const std::vector<double>& busy, CpuLoads& loads);

  std::int64_t at_ns_ = 0;
  bool first_ = true;
  std::map<VcpuKey, Seen> vcpus_;
  std::map<std::uint32_t, SeenPcpu> pcpus_;
};

}  // namespace fairlead::manage
