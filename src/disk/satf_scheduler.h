// SPDX-License-Identifier: Apache-2.0
//
// SatfScheduler: shortest access time first, where the access time grows with the distance from the
// head, in sectors.  Unfair: what is far waits as long as something nearer comes.
#pragma once

#include <vector>

#include "disk/backlog.h"
#include "disk/parameters.h"
#include "disk/scheduler.h"

namespace fairlead::disk {

class SatfScheduler final : public Scheduler {
 public:
  static std::vector<Parameter> parameters() { return {}; }
  SatfScheduler(const SchedulerShape& shape, const Parameters&) : backlog_(shape) {}

  void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) override {
    backlog_.add(slot, request, now_ns);
  }
  Decision next(std::int64_t) override {
    if (backlog_.empty()) return {};
    const Transfer transfer = backlog_.take(backlog_.nearest(head_));
    head_ = transfer.end();
    return Decision::dispatch(transfer);
  }
  std::uint32_t waiting() const noexcept override { return backlog_.requests(); }

 private:
  Backlog backlog_;
  std::uint64_t head_ = 0;
};

}  // namespace fairlead::disk
