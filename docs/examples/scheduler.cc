// SPDX-License-Identifier: Apache-2.0
//
// A scheduler of one's own: the newest request first.  Prints what it does to 16 random readers on
// document 004's disk, beside the oldest first.
#include <cstdio>
#include <vector>

#include "disk/backlog.h"
#include "disk/drive.h"
#include "disk/scheduler_table.h"
#include "sim/disk_world.h"

using namespace fairlead;

class NewestFirst final : public disk::Scheduler {
 public:
  explicit NewestFirst(const disk::SchedulerShape& shape) : backlog_(shape) {
    newest_.reserve(shape.slots);
  }
  void arrived(disk::Slot slot, const disk::IoRequest& request, std::int64_t now_ns) override {
    newest_.push_back(slot);
    backlog_.add(slot, request, now_ns);  // which may merge it with an older one
  }
  disk::Decision next(std::int64_t) override {
    while (!newest_.empty()) {
      const disk::Slot slot = newest_.back();
      newest_.pop_back();
      if (backlog_.holds(slot)) return disk::Decision::dispatch(backlog_.take(slot));
    }
    return {};
  }
  std::uint32_t waiting() const noexcept override { return backlog_.requests(); }

 private:
  disk::Backlog backlog_;
  std::vector<disk::Slot> newest_;
};

double worst_ms(disk::Scheduler& scheduler, const disk::SchedulerShape& shape) {
  disk::LinearModel model({});
  disk::ModelledDisk drive(scheduler, model, shape, {});
  sim::RandomWorkload readers({.processes = 16, .think_ms = 50});
  sim::DiskWorld world(drive, shape, readers);
  const auto run = world.run({.requests = 20'000});
  return run ? static_cast<double>(run->response_ns.max()) / 1e6 : -1;
}

int main() {
  const disk::SchedulerShape shape;
  NewestFirst newest(shape);
  const auto oldest = disk::make_scheduler("noop", shape);
  std::printf("longest response: newest first %.0f ms, oldest first %.0f ms\n",
              worst_ms(newest, shape), worst_ms(**oldest, shape));
}
