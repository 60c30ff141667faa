// SPDX-License-Identifier: Apache-2.0
//
// From a sample and its measured loads to a placement problem, and back: which vCPUs take part,
// where they are, where they may go.  Inside manage only.
//
// A mask of one processor is a place, not a wish: such a vCPU may go anywhere.  A mask of several
// but not all online processors, as the domain's cpuset gives it, is its owner's wish and is kept.
// A vCPU that may run anywhere, or only where nothing is online, has no place yet.
//
// Thread-safety: values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "manage/cpu_manager.h"
#include "manage/cpu_meter.h"
#include "manage/placement.h"
#include "manage/sample.h"

namespace fairlead::manage {

struct CpuProblem {
  PlacementProblem placement;
  std::vector<std::uint32_t> cpus;  // their numbers, by index in `placement`
  std::vector<VcpuKey> keys;        // by item
  std::vector<std::string> names;   // of the guests, by item
  std::vector<double> used;         // likewise
  std::vector<CpuSet> masks;        // as sampled, by item
  std::vector<double> utilisation;  // used + foreign, by processor
  std::vector<std::string> notes;   // guests left alone, and why
};

// Masks of several processors that a vCPU was first seen with.
using Wishes = std::map<VcpuKey, CpuSet>;

// Learns the wishes of vCPUs not seen before and forgets those that are gone.
void learn_wishes(const Sample& sample, Wishes& wishes);

CpuProblem make_problem(const Sample& sample, const CpuLoads& loads, const CpuSettings& settings,
                        const Wishes& wishes);

}  // namespace fairlead::manage
