// SPDX-License-Identifier: Apache-2.0
//
// CpuTrial: a policy against a world, interval by interval, and what became of it.  The two simple
// policies are what published solutions of document 001 do; they are here to be compared with.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "manage/cpu_manager.h"
#include "sim/cpu_world.h"

namespace fairlead::sim {

using CpuPolicy = std::function<manage::CpuPlan(const manage::Sample&)>;

CpuPolicy managed(manage::CpuSettings settings = {});

// Largest vCPU first to the least loaded processor, from scratch, whenever the deviation is above
// 5 points; loads as measured.
CpuPolicy longest_first();

// Once an interval the smallest vCPU of the busiest processor goes to the least busy one, if they
// are more than 10 points apart.
CpuPolicy one_smallest_move();

struct CpuInterval {
  std::vector<double> utilisation;  // of each online processor, as the world has it
  double mean = 0;
  double deviation = 0;
  double waiting = 0;  // of all vCPUs together
  std::uint32_t pins = 0;
  bool balanced = false;  // by the document's measure alone: 5 % of the mean, or 1.5 points
};

class CpuTrial {
 public:
  CpuTrial(CpuWorld& world, CpuPolicy policy, std::int64_t interval_ns = 2'000'000'000);

  // Lets time pass, then has the policy look and act.
  void run(std::uint32_t intervals);

  const std::vector<CpuInterval>& intervals() const noexcept { return intervals_; }
  const manage::CpuPlan& last_plan() const noexcept { return plan_; }

  // Changed masks in the intervals from `first` on.
  std::uint32_t pins_since(std::size_t first) const;

  // The first of five balanced intervals in a row from `first` on, counted from 1; 0: none.
  std::uint32_t converged(std::size_t first) const;

 private:
  CpuWorld& world_;
  const CpuPolicy policy_;
  const std::int64_t interval_ns_;
  manage::CpuPlan plan_;
  std::vector<CpuInterval> intervals_;
};

}  // namespace fairlead::sim
