// SPDX-License-Identifier: Apache-2.0
#include "block/scheduled_disk.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "block/service_stats.h"
#include "disk/scheduler_table.h"

namespace fairlead::block {

base::Result<std::unique_ptr<ScheduledDisk>> ScheduledDisk::open(const ScheduledOptions& options) {
  FL_TRY(auto scheduler, disk::make_scheduler(options.scheduler, options.shape));
  return std::unique_ptr<ScheduledDisk>(new ScheduledDisk(options, std::move(scheduler)));
}

ScheduledDisk::ScheduledDisk(const ScheduledOptions& options,
                             std::unique_ptr<disk::Scheduler> scheduler)
    : DiskStage(options.shape),
      scheduler_(std::move(scheduler)),
      flights_(options.depth),
      free_flights_(options.depth),
      flight_of_(options.shape.slots) {
  std::iota(free_flights_.rbegin(), free_flights_.rend(), 0U);
  stats_.scheduler = options.scheduler;
  stats_.depth = options.depth;
}

void ScheduledDisk::arrive(Ask ask, std::uint64_t sector, std::uint32_t count, std::uint32_t thread,
                           std::int64_t now_ns) {
  const disk::Slot slot = seat(ask, sector, count, thread);
  scheduler_->arrived(slot, request(slot), now_ns);
  pump(now_ns);
}

void ScheduledDisk::advance(std::int64_t now_ns) {
  if (wait_ns_ <= now_ns) pump(now_ns);
}

void ScheduledDisk::pump(std::int64_t now_ns) {
  wait_ns_ = kNever;
  while (!free_flights_.empty()) {
    const disk::Decision decision = scheduler_->next(now_ns);
    if (decision.kind == disk::Decision::Kind::kWait) {
      wait_ns_ = std::max(decision.until_ns, now_ns + 1);
    }
    if (decision.kind != disk::Decision::Kind::kDispatch) return;
    begin(decision.transfer);
  }
}

void ScheduledDisk::begin(const disk::Transfer& transfer) {
  const std::uint32_t flight = free_flights_.back();
  free_flights_.pop_back();
  flights_[flight] = {transfer, static_cast<std::uint32_t>(transfer.slots.size())};
  flights_[flight].transfer.slots = {};
  ++stats_.transfers;
  stats_.requests += transfer.slots.size();
  for (const disk::Slot slot : transfer.slots) {
    flight_of_[slot] = flight;
    start(slot);
  }
}

void ScheduledDisk::data_came(disk::Slot slot, bool good, std::int64_t now_ns) {
  const std::uint32_t flight = flight_of_[slot];
  answer(slot, good);
  if (--flights_[flight].left > 0) return;
  free_flights_.push_back(flight);
  scheduler_->completed(flights_[flight].transfer, now_ns);
  pump(now_ns);
}

void ScheduledDisk::tell(ServiceStats& stats) const { stats.scheduled = stats_; }

}  // namespace fairlead::block
