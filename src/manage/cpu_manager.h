// SPDX-License-Identifier: Apache-2.0
//
// CpuManager: from one sample to the next, which vCPU to pin to which pCPU.
//
// Deterministic: the same settings and the same samples give the same plans.  No clock, no system
// call, no thread; live, simulated and replayed runs are the same code.  It learns what became of
// its plans from the next sample only, so a pin that failed or was undone by somebody else is seen
// as what it is: another placement.
//
// docs/managers.md has the equations; Waldspurger, OSDI 2002, and Aggarwal, Motwani and Zhu, 2006,
// are where the ideas come from.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "manage/cpu_meter.h"
#include "manage/cpu_set.h"
#include "manage/sample.h"

namespace fairlead::manage {

// What a guest's owner allows, by the guest's name.
struct GuestCpuRule {
  bool leave_alone = false;
  CpuSet allowed;  // empty: all that are managed
};

struct CpuSettings {
  CpuSet pcpus;                   // to manage; empty: every online one
  double trigger = 0.05;          // act above this standard deviation, as a share of the mean
  double target = 0.03;           // and plan down to this one
  double idle_points = 0.015;     // a deviation of this much of one pCPU is balance in any case
  double best_factor = 1.1;       // so is this multiple of the best reachable one
  double sibling_capacity = 0.6;  // of an SMT thread whose sibling is busy
  double remote_gain = 0.25;      // load difference that is worth leaving the memory's node
  std::uint32_t persistence = 2;  // intervals that an imbalance must last, unless it is gross
  std::uint32_t cooldown = 3;     // intervals for which a vCPU that was moved stays
  std::map<std::string, GuestCpuRule> rules;
};

struct Pin {
  std::string uuid;
  std::string name;
  std::uint32_t vcpu = 0;
  CpuSet before;
  std::uint32_t pcpu = 0;
  std::string why;  // what was seen and why it moves, for one line of --explain
};

struct CpuPlan {
  std::int64_t elapsed_ns = 0;  // since the sample before; 0: the first one, nothing is known yet
  std::vector<Pin> pins;        // in the order in which to apply them
  std::vector<PcpuLoad> loads;  // before the pins
  double mean = 0;              // of used + foreign
  double deviation = 0;         // standard deviation, in pCPUs
  double predicted_deviation = 0;  // of demand, after the pins
  bool balanced = false;
  std::vector<std::string> notes;  // why nothing more was done, guests left alone, …
};

class CpuManager {
 public:
  explicit CpuManager(CpuSettings settings);
  CpuManager(CpuManager&&) noexcept;
  CpuManager& operator=(CpuManager&&) noexcept;
  ~CpuManager();

  CpuPlan decide(const Sample& sample);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fairlead::manage
