// SPDX-License-Identifier: Apache-2.0
//
// CpuWatch: what document 001's monitor.py shows of processors, round by round, from the same
// samples and by the same meter as the scheduler.
//
// Usage of a processor is the run time of the vCPUs that are pinned to it over the time that really
// passed; a vCPU that may run on several counts for each of them in equal parts, as nothing says
// where it ran.  A pin change is a mask that differs from the round before.  Balanced: the standard
// deviation of the usages is at most 5 % of their mean, or 1.5 points (reference numbers of the
// scheduler, CpuSettings).
//
// Deterministic, no clock: time is the samples'.  Thread-safety: none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manage/cpu_meter.h"
#include "manage/cpu_set.h"
#include "manage/sample.h"

namespace fairlead::manage {

struct WatchedVcpu {
  std::string guest;  // its name
  std::uint32_t vcpu = 0;
  bool alone = true;  // its guest has no other
  CpuSet allowed;     // of the processors that are watched
  double used = 0;    // of one processor
  double waiting = 0;

  std::string label() const;  // "aos_1", or "aos_1:3" where the guest has several
};

struct WatchedPcpu {
  std::uint32_t cpu = 0;
  double usage = 0;    // by vCPUs, of one processor
  double foreign = 0;  // by everything else
};

struct CpuRound {
  std::int64_t at_ns = 0;       // of the sample, monotonic
  std::int64_t elapsed_ns = 0;  // 0: the first look, nothing is known yet
  std::vector<WatchedPcpu> pcpus;
  std::vector<WatchedVcpu> vcpus;
  double mean = 0;  // of the usages
  double deviation = 0;
  bool balanced = false;
  std::uint64_t pin_changes = 0;  // since the round before
};

struct CpuWatchSummary {
  std::uint64_t rounds = 0;  // without the first look
  std::uint64_t balanced_rounds = 0;
  std::uint64_t pin_changes = 0;
  std::uint64_t last_change_round = 0;  // 0: none
  // From the first round out of balance to the first of five balanced ones in a row; 0: never out
  // of balance; empty: not reached.
  std::optional<std::uint64_t> rounds_until_balance = 0;
};

class CpuWatch {
 public:
  static constexpr std::uint64_t kSteady = 5;  // balanced rounds in a row that count as balance

  // Watches these processors only; empty: every online one.
  explicit CpuWatch(CpuSet pcpus = {}) : pcpus_(std::move(pcpus)) {}

  CpuRound look(const Sample& sample);
  CpuWatchSummary summary() const { return summary_; }

 private:
  struct Mask {
    std::int32_t run_id = 0;
    CpuSet allowed;
  };

  std::uint64_t count_pin_changes(const Sample& sample);
  void add_to_summary(const CpuRound& round);

  CpuSet pcpus_;
  CpuMeter meter_;
  std::map<VcpuKey, Mask> masks_;
  CpuWatchSummary summary_;
  std::uint64_t first_uneven_ = 0;  // its round; 0: none yet
  std::uint64_t in_a_row_ = 0;      // balanced rounds
};

}  // namespace fairlead::manage
