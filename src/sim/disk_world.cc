// SPDX-License-Identifier: Apache-2.0
#include "sim/disk_world.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace fairlead::sim {

DiskWorld::DiskWorld(disk::ModelledDisk& disk, const disk::SchedulerShape& shape,
                     DiskWorkload& workload)
    : disk_(disk),
      workload_(workload),
      asks_(workload.processes()),
      free_(shape.slots),
      stories_(shape.slots) {
  std::iota(free_.rbegin(), free_.rend(), 0U);
}

base::Result<DiskRun> DiskWorld::run(const DiskPlan& plan) {
  plan_ = &plan;
  for (std::uint32_t i = 0; i < workload_.processes(); ++i) plan_next(i, 0);
  // A trace may begin at any time.
  if (workload_.open() && !due_.empty()) counted_from_ns_ = due_.top().time_ns;
  while (ended_ < plan.warm_up + plan.requests) {
    const std::int64_t due_ns = due_.empty() ? disk::ModelledDisk::kNever : due_.top().time_ns;
    const std::int64_t disk_ns = disk_.next_ns();
    if (due_ns == disk::ModelledDisk::kNever && disk_ns == due_ns) break;  // all have ended
    now_ns_ = std::min(due_ns, disk_ns);
    if (disk_ns <= due_ns) {
      disk_.advance(disk_ns, *this);
      admit_waiting();
      continue;
    }
    const Due due = due_.top();
    due_.pop();
    ask(due);
    if (waiting_.size() >= kMostWaiting) {
      return base::fail(base::ErrorKind::kLimit,
                        fmt::format("{} requests wait: they come faster than the disk serves them",
                                    waiting_.size()));
    }
  }
  run_.elapsed_ns = now_ns_ - counted_from_ns_;
  return run_;
}

void DiskWorld::plan_next(std::uint32_t process, std::int64_t now_ns) {
  const auto ask = workload_.next(process);
  if (!ask) return;
  asks_[process] = ask->request;
  due_.push({now_ns + ask->after_ns, plans_++, process});
}

void DiskWorld::ask(const Due& due) {
  const Waiting waiting{asks_[due.process], arrivals_++, due.time_ns};
  if (workload_.open()) plan_next(due.process, due.time_ns);
  if (free_.empty()) {
    waiting_.push_back(waiting);
  } else {
    admit(waiting, due.time_ns);
  }
}

void DiskWorld::admit(const Waiting& waiting, std::int64_t now_ns) {
  const disk::Slot slot = free_.back();
  free_.pop_back();
  stories_[slot] = {
      .request = waiting.request, .number = waiting.number, .arrived_ns = waiting.arrived_ns};
  disk_.arrive(slot, waiting.request, now_ns, *this);
}

void DiskWorld::admit_waiting() {
  while (!waiting_.empty() && !free_.empty()) {
    const Waiting first = waiting_.front();
    waiting_.pop_front();
    admit(first, now_ns_);
  }
}

void DiskWorld::dispatched(const disk::Transfer& transfer, std::int64_t now_ns) {
  for (const disk::Slot slot : transfer.slots) stories_[slot].dispatched_ns = now_ns;
}

void DiskWorld::completed(const disk::Transfer& transfer, const disk::Access& access,
                          std::int64_t now_ns) {
  if (ended_ >= plan_->warm_up) {
    ++run_.transfers;
    run_.hits += access.hit ? 1 : 0;
  }
  for (const disk::Slot slot : transfer.slots) {
    DiskStory& story = stories_[slot];
    story.ended_ns = now_ns;
    story.hit = access.hit;
    count(story);
    free_.push_back(slot);
    if (!workload_.open()) plan_next(story.request.owner, now_ns);
  }
}

void DiskWorld::count(const DiskStory& story) {
  if (ended_ == plan_->warm_up + plan_->requests) return;  // a last transfer of several
  if (plan_->on_end) plan_->on_end(story);
  if (++ended_ <= plan_->warm_up) {
    counted_from_ns_ = story.ended_ns;
    return;
  }
  ++run_.requests;
  run_.sectors += story.request.sector_count;
  run_.service_ns.record(static_cast<std::uint64_t>(story.ended_ns - story.dispatched_ns));
  run_.response_ns.record(static_cast<std::uint64_t>(story.ended_ns - story.arrived_ns));
}

}  // namespace fairlead::sim
