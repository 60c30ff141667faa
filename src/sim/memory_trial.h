// SPDX-License-Identifier: Apache-2.0
//
// MemoryTrial: a policy against a world, interval by interval, and what became of it.  The simple
// policies are what published solutions of document 001 and an open program do; they are here to be
// compared with.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "manage/memory_manager.h"
#include "sim/memory_world.h"

namespace fairlead::sim {

using MemoryPolicy = std::function<manage::MemoryPlan(const manage::Sample&)>;

MemoryPolicy managed_memory(manage::MemorySettings settings = {});

// A guest with less than 100 MiB unused gets what it lacks of them, while the host has 200 MiB; one
// with more than 200 gives half of the excess, at most 100 MiB.
MemoryPolicy fixed_deficit();

// As Proxmox's pvestatd: the host is to use 80 %; what it has to spare or lacks goes to or comes
// from the guests in equal parts, at most 100 MiB each, the pressed ones first, unless all is
// within 10 MiB.
MemoryPolicy proportional();

struct MemoryGuestInterval {
  double size_mib = 0;
  double used_mib = 0;
  double usable_mib = 0;
  double target_mib = 0;  // after the pass
  double change_mib = 0;  // of the target, in this pass
};

struct MemoryInterval {
  std::vector<MemoryGuestInterval> guests;  // by number, as the policy's sample found them
  double least_available_mib = 0;           // of the host, since the interval before
  double free_mib = 0;                      // of the pool, promised to nobody; managed only
  std::uint32_t calls = 0;
  std::size_t kills = 0;  // since the interval before
  bool scarce = false;
};

class MemoryTrial {
 public:
  MemoryTrial(MemoryWorld& world, MemoryPolicy policy, std::int64_t interval_ns = 2'000'000'000);

  // Lets time pass, then has the policy look and act.
  void run(std::uint32_t intervals);

  const std::vector<MemoryInterval>& intervals() const noexcept { return intervals_; }
  const manage::MemoryPlan& last_plan() const noexcept { return plan_; }

  // Over the intervals from `first` on, of one guest.
  std::uint32_t reversals(std::uint32_t guest, std::size_t first = 0) const;
  double moved_mib(std::uint32_t guest, std::size_t first = 0) const;
  std::uint32_t calls(std::size_t first = 0) const;
  double least_available_mib(std::size_t first = 0) const;
  // Of its samples, the share with at least 100 MiB usable, those left out where it has all that
  // its maximum allows or the pool has nothing.
  double comfortable(std::uint32_t guest, std::size_t first = 0) const;

 private:
  void look();

  MemoryWorld& world_;
  const MemoryPolicy policy_;
  const std::int64_t interval_ns_;
  manage::MemoryPlan plan_;
  std::vector<MemoryInterval> intervals_;
};

}  // namespace fairlead::sim
