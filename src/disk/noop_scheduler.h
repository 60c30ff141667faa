// SPDX-License-Identifier: Apache-2.0
//
// NoopScheduler: first come, first served, as Linux' noop; adjacent requests are merged.
#pragma once

#include <vector>

#include "disk/backlog.h"
#include "disk/parameters.h"
#include "disk/scheduler.h"

namespace fairlead::disk {

class NoopScheduler final : public Scheduler {
 public:
  static std::vector<Parameter> parameters() { return {}; }
  NoopScheduler(const SchedulerShape& shape, const Parameters&) : backlog_(shape) {}

  void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) override {
    backlog_.add(slot, request, now_ns);
  }
  Decision next(std::int64_t) override {
    if (backlog_.empty()) return {};
    return Decision::dispatch(backlog_.take(backlog_.oldest()));
  }
  std::uint32_t waiting() const noexcept override { return backlog_.requests(); }

 private:
  Backlog backlog_;
};

}  // namespace fairlead::disk
