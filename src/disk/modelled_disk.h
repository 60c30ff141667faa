// SPDX-License-Identifier: Apache-2.0
//
// ModelledDisk: a scheduler and a model of a disk, put together in virtual time.  Whoever drives it
// says what arrives and how far time has come; the rest follows, in the order of its times and
// whatever the steps.  So the same arrivals give the same dispatches in a simulator and live.
//
//     disk.advance(now, events);          what has ended, what the scheduler had waited for
//     disk.arrive(slot, request, now, events);
//     next = disk.next_ns();              call advance() then, or before the next arrival
//
// Depth: so many transfers have been taken from the scheduler and not ended.  One is at work, the
// others wait in the disk, first come, first served.
//
// Thread-safety: none.  Nothing is allocated after construction.  Times that run backwards are our
// bug: FL_CHECK.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "disk/disk_model.h"
#include "disk/scheduler.h"

namespace fairlead::disk {

// Told in the order of their times.  Slots are good until the call returns.
class DiskEvents {
 public:
  virtual ~DiskEvents() = default;
  virtual void dispatched(const Transfer& transfer, std::int64_t now_ns) = 0;
  virtual void completed(const Transfer& transfer, const Access& access, std::int64_t now_ns) = 0;
};

struct DiskQueueing {
  std::uint32_t depth = 1;
  std::int64_t tick_ns = 0;       // of the scheduler's clock; 0: exact.  Linux, HZ = 250: 4 ms
  std::int64_t extra_ns = 0;      // on top of each access; a fault of document 004's throttle
  std::uint32_t clock_scale = 1;  // the scheduler's clock runs so much too fast; another one
};

class ModelledDisk {
 public:
  static constexpr std::int64_t kNever = INT64_MAX;

  ModelledDisk(Scheduler& scheduler, DiskModel& model, const SchedulerShape& shape,
               const DiskQueueing& queueing);

  void arrive(Slot slot, const IoRequest& request, std::int64_t now_ns, DiskEvents& events);
  void advance(std::int64_t now_ns, DiskEvents& events);
  std::int64_t next_ns() const noexcept;

 private:
  struct Flight {
    Transfer transfer;
    Access access;
    std::vector<Slot> slots;
  };

  std::int64_t scheduler_ns(std::int64_t now_ns) const noexcept;
  std::int64_t disk_ns(std::int64_t scheduler_ns) const noexcept;
  void pump(std::int64_t now_ns, DiskEvents& events);
  void begin(const Transfer& transfer, std::int64_t now_ns, DiskEvents& events);
  void end_first(DiskEvents& events);
  void find_first() noexcept;

  Scheduler& scheduler_;
  DiskModel& model_;
  const DiskQueueing queueing_;
  std::vector<Flight> flights_;  // the first `in_flight_`, in the order in which they began
  std::uint32_t in_flight_ = 0;
  std::uint32_t first_ = 0;       // to end
  std::int64_t end_ns_ = kNever;  // its end
  std::int64_t now_ns_ = 0;
  std::int64_t free_ns_ = 0;       // the model may begin
  std::int64_t extra_ns_ = 0;      // so far: the model's clock is so much behind
  std::int64_t wait_ns_ = kNever;  // the scheduler wants to be asked
};

}  // namespace fairlead::disk
