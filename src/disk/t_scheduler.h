// SPDX-License-Identifier: Apache-2.0
//
// TScheduler: algorithm T over all that waits, reads and writes alike, computed anew for each
// dispatch.  Who waits longer counts for more if `age_unit` is set: weight 1 + (age / age_unit)^2,
// at most 100.
#pragma once

#include <vector>

#include "disk/backlog.h"
#include "disk/best_first.h"
#include "disk/parameters.h"
#include "disk/scheduler.h"

namespace fairlead::disk {

class TScheduler final : public Scheduler {
 public:
  static std::vector<Parameter> parameters() {
    return {{"age_unit", 0, Unit::kNs, "ours; 0: all weigh the same"}};
  }
  TScheduler(const SchedulerShape& shape, const Parameters& parameters)
      : backlog_(shape), best_(shape.slots, parameters["age_unit"]) {}

  void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) override {
    backlog_.add(slot, request, now_ns);
  }
  Decision next(std::int64_t now_ns) override {
    if (backlog_.empty()) return {};
    const Transfer transfer = backlog_.take(best_.of(backlog_, head_, now_ns));
    head_ = transfer.end();
    return Decision::dispatch(transfer);
  }
  std::uint32_t waiting() const noexcept override { return backlog_.requests(); }

 private:
  Backlog backlog_;
  BestFirst best_;
  std::uint64_t head_ = 0;
};

}  // namespace fairlead::disk
