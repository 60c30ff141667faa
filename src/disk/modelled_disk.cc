// SPDX-License-Identifier: Apache-2.0
#include "disk/modelled_disk.h"

#include <algorithm>

#include "base/check.h"

namespace fairlead::disk {

ModelledDisk::ModelledDisk(Scheduler& scheduler, DiskModel& model, const SchedulerShape& shape,
                           const DiskQueueing& queueing)
    : scheduler_(scheduler), model_(model), queueing_(queueing), flights_(queueing.depth) {
  FL_CHECK(queueing.depth > 0 && queueing.clock_scale > 0);
  for (Flight& flight : flights_) flight.slots.reserve(shape.slots);
}

std::int64_t ModelledDisk::next_ns() const noexcept { return std::min(end_ns_, wait_ns_); }

// Down to the tick, as a clock that counts ticks says it.
std::int64_t ModelledDisk::scheduler_ns(std::int64_t now_ns) const noexcept {
  const std::int64_t scaled = now_ns * queueing_.clock_scale;
  return queueing_.tick_ns == 0 ? scaled : scaled / queueing_.tick_ns * queueing_.tick_ns;
}

// Up to the tick at which a timer goes off, and to the next whole nanosecond of the disk.
std::int64_t ModelledDisk::disk_ns(std::int64_t scheduler_ns) const noexcept {
  if (queueing_.tick_ns != 0) {
    scheduler_ns = (scheduler_ns + queueing_.tick_ns - 1) / queueing_.tick_ns * queueing_.tick_ns;
  }
  return (scheduler_ns + queueing_.clock_scale - 1) / queueing_.clock_scale;
}

void ModelledDisk::arrive(Slot slot, const IoRequest& request, std::int64_t now_ns,
                          DiskEvents& events) {
  advance(now_ns, events);
  scheduler_.arrived(slot, request, scheduler_ns(now_ns));
  pump(now_ns, events);
}

void ModelledDisk::advance(std::int64_t now_ns, DiskEvents& events) {
  FL_CHECK(now_ns >= now_ns_);
  for (std::int64_t at = next_ns(); at <= now_ns; at = next_ns()) {
    now_ns_ = at;
    if (end_ns_ == at) end_first(events);
    if (wait_ns_ == at) wait_ns_ = kNever;
    pump(at, events);
  }
  now_ns_ = now_ns;
}

// Asks the scheduler for as much as the disk takes.
void ModelledDisk::pump(std::int64_t now_ns, DiskEvents& events) {
  while (in_flight_ < queueing_.depth) {
    const Decision decision = scheduler_.next(scheduler_ns(now_ns));
    wait_ns_ = kNever;
    if (decision.kind == Decision::Kind::kWait) {
      wait_ns_ = std::max(disk_ns(decision.until_ns), now_ns + 1);
    }
    if (decision.kind != Decision::Kind::kDispatch) return;
    begin(decision.transfer, now_ns, events);
  }
}

void ModelledDisk::begin(const Transfer& transfer, std::int64_t now_ns, DiskEvents& events) {
  Flight& flight = flights_[in_flight_];
  flight.transfer = transfer;
  flight.slots.assign(transfer.slots.begin(), transfer.slots.end());
  flight.transfer.slots = flight.slots;
  // The model knows nothing of what came on top: it reads no further ahead in that time.
  flight.access = model_.access(flight.transfer, std::max(now_ns, free_ns_) - extra_ns_);
  extra_ns_ += queueing_.extra_ns;
  flight.access.end_ns += extra_ns_;
  flight.access.free_ns += extra_ns_;
  free_ns_ = flight.access.free_ns;
  if (flight.access.end_ns < end_ns_) {
    end_ns_ = flight.access.end_ns;
    first_ = in_flight_;
  }
  ++in_flight_;
  events.dispatched(flight.transfer, now_ns);
}

void ModelledDisk::end_first(DiskEvents& events) {
  // To the end of the array, where the next one to begin will find its room.
  std::rotate(flights_.begin() + first_, flights_.begin() + first_ + 1,
              flights_.begin() + in_flight_);
  --in_flight_;
  find_first();
  const Flight& ended = flights_[in_flight_];
  scheduler_.completed(ended.transfer, scheduler_ns(now_ns_));
  events.completed(ended.transfer, ended.access, now_ns_);
}

void ModelledDisk::find_first() noexcept {
  end_ns_ = kNever;
  for (std::uint32_t i = 0; i < in_flight_; ++i) {
    if (flights_[i].access.end_ns >= end_ns_) continue;
    end_ns_ = flights_[i].access.end_ns;
    first_ = i;
  }
}

}  // namespace fairlead::disk
