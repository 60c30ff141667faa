// SPDX-License-Identifier: Apache-2.0
#include "block/throttle.h"

#include <algorithm>

#include <fmt/format.h>

#include "block/service_stats.h"
#include "disk/scheduler_table.h"

namespace fairlead::block {

namespace {
constexpr std::int64_t kWithinPart = 50;  // 2 %
static_assert(disk::ModelledDisk::kNever == DiskStage::kNever);
}  // namespace

base::Result<std::unique_ptr<Throttle>> Throttle::open(const ThrottleOptions& options,
                                                       std::uint64_t image_sectors,
                                                       std::int64_t now_ns) {
  const std::uint64_t sectors = disk::sectors_of(options.drive);
  if (image_sectors > sectors) {
    return base::fail(base::ErrorKind::kInvalid,
                      fmt::format("throttle to {}: it has {} sectors, the image {}",
                                  options.drive_name, sectors, image_sectors));
  }
  FL_TRY(auto scheduler, disk::make_scheduler(options.scheduler, options.shape));
  return std::unique_ptr<Throttle>(new Throttle(options, std::move(scheduler), now_ns));
}

Throttle::Throttle(const ThrottleOptions& options, std::unique_ptr<disk::Scheduler> scheduler,
                   std::int64_t now_ns)
    : DiskStage(options.shape),
      options_(options),
      scheduler_(std::move(scheduler)),
      model_(disk::make_model(options.drive)),
      disk_(*scheduler_, *model_, options.shape, options.queueing),
      clock_(now_ns, options.k),
      dilation_(options.k, options.locked),
      held_(options.shape.slots),
      now_ns_(now_ns) {}

void Throttle::arrive(Ask ask, std::uint64_t sector, std::uint32_t count, std::uint32_t thread,
                      std::int64_t now_ns) {
  advance(now_ns);
  const disk::Slot slot = seat(ask, sector, count, thread);
  Held& held = held_[slot];
  held = {};
  held.story.slot = slot;
  held.story.number = arrivals_++;
  held.story.request = request(slot);
  held.story.arrived_ns = clock_.virtual_ns(now_ns);
  if (options_.on_arrival) options_.on_arrival(held.story);
  disk_.arrive(slot, held.story.request, held.story.arrived_ns, *this);
}

void Throttle::advance(std::int64_t now_ns) {
  now_ns_ = std::max(now_ns_, now_ns);
  disk_.advance(clock_.virtual_ns(now_ns_), *this);
}

std::int64_t Throttle::next_ns() const noexcept {
  const std::int64_t next = disk_.next_ns();
  return next == disk::ModelledDisk::kNever ? next : clock_.real_ns(next);
}

void Throttle::dispatched(const disk::Transfer& transfer, std::int64_t virtual_ns) {
  for (const disk::Slot slot : transfer.slots) {
    held_[slot].story.dispatched_ns = virtual_ns;
    start(slot);
  }
}

void Throttle::completed(const disk::Transfer& transfer, const disk::Access& access,
                         std::int64_t virtual_ns) {
  ++stats_.transfers;
  stats_.hits += access.hit ? 1 : 0;
  for (const disk::Slot slot : transfer.slots) {
    Held& held = held_[slot];
    held.story.ended_ns = virtual_ns;
    held.story.hit = access.hit;
    held.ended = true;
    if (options_.on_end) options_.on_end(held.story);
    if (options_.log != nullptr) options_.log->add(held.story);
    if (held.data) finish(slot, false);
  }
}

void Throttle::data_came(disk::Slot slot, bool good, std::int64_t now_ns) {
  now_ns_ = std::max(now_ns_, now_ns);
  Held& held = held_[slot];
  held.data = true;
  held.good = good;
  if (!held.ended) return;
  ++stats_.late;
  finish(slot, true);
}

// Both are there.
void Throttle::finish(disk::Slot slot, bool late) {
  const Held& held = held_[slot];
  const ThrottleStory& story = held.story;
  const std::int64_t due_ns = clock_.real_ns(story.ended_ns);
  const std::int64_t late_ns = std::max<std::int64_t>(now_ns_ - due_ns, 0);
  const std::int64_t response_ns = due_ns - clock_.real_ns(story.arrived_ns);
  ++stats_.answered;
  stats_.within += late_ns * kWithinPart <= response_ns ? 1 : 0;
  stats_.lateness_ns.record(static_cast<std::uint64_t>(late_ns));
  stats_.service_ns.record(static_cast<std::uint64_t>(story.ended_ns - story.dispatched_ns));
  stats_.response_ns.record(static_cast<std::uint64_t>(story.ended_ns - story.arrived_ns));
  answer(slot, held.good);
  if (dilation_.answered(late)) clock_.set_k(dilation_.k(), now_ns_);
}

void Throttle::tell(ServiceStats& stats) const { stats.throttle = this->stats(); }

ThrottleStats Throttle::stats() const {
  ThrottleStats stats = stats_;
  stats.drive = options_.drive_name;
  stats.scheduler = options_.scheduler;
  stats.k = dilation_.k();
  stats.locked = dilation_.locked();
  if (options_.log != nullptr) stats.log = options_.log->stats();
  return stats;
}

}  // namespace fairlead::block
