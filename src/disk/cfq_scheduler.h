// SPDX-License-Identifier: Apache-2.0
//
// CfqScheduler: Linux' complete fairness queueing.  Each process has a queue for its reads; all
// have one for their writes.  Queues take turns.  A turn lasts for slice_sync or slice_async from
// its first completion; in it the queue goes in the order of OneWay, the oldest first if that is
// overdue (looked at once a turn).
//
//     next()    the queue whose turn it is, quantum of it at the disk while others wait;
//               then those of others, where this one may not be waited for
//     ready     what has been chosen, upwards from the head; the disk takes from there
//
// When a queue is empty and nothing is at the disk, the disk waits for its process: slice_idle, or
// seeky_idle if it goes far, not at all if it thinks for longer than slice_idle, or goes far on a
// disk that takes hw_depth requests.  Another's request that is nearer than the process goes on
// average ends the wait; it, and a read that comes in a turn of writes, is served at once.  Writes
// wait for reads at the disk.
//
// Source: Linux 2.6.29, block/cfq-iosched.c, all processes of the one priority best effort 4.
//
// What differs:
//   - A process that exits is not seen; nor are other priorities, metadata, disks without seeks.
//   - Of two requests at one sector Linux sends the older one at once; here they keep their order.
//   - drain = 0 chooses one request at a time; a turn of writes ends after 8 · slice_async_rq of
//     them, and a queue alone has quanta_alone · quantum at the disk.  So do later kernels, but
//     this is not all that they changed.
//   - Linux 2.6.29 moves a queue that was interrupted back by what was left of its turn, and
//     forward by what it overran.  resid_credit = 1 does the opposite, as later kernels do.
//   - Linux' ticks are in think_tick alone.
//
// Sectors are below 2^48, owners below 2^16 - 1.  Memory is that of the slots and of the owners.
#pragma once

#include <optional>
#include <vector>

#include "disk/backlog.h"
#include "disk/decaying_mean.h"
#include "disk/one_way.h"
#include "disk/parameters.h"
#include "disk/scheduler.h"
#include "disk/slot_lists.h"

namespace fairlead::disk {

class CfqScheduler final : public Scheduler {
 public:
  static std::vector<Parameter> parameters();
  CfqScheduler(const SchedulerShape& shape, const Parameters& parameters);

  void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) override;
  Decision next(std::int64_t now_ns) override;
  void completed(const Transfer& transfer, std::int64_t now_ns) override;
  std::uint32_t waiting() const noexcept override { return backlog_.requests() + ready_requests_; }

 private:
  using QueueIndex = std::uint32_t;  // an owner, or the one of all writes

  struct Queue {
    std::optional<Slot> next{};
    std::int64_t key_ns = 0;   // turns are in this order
    std::int64_t end_ns = 0;   // of its turn, once that has begun
    std::int64_t left_ns = 0;  // of an interrupted one; below zero: overrun
    std::uint32_t dispatched = 0;
    std::uint32_t chosen = 0;  // in this turn
    bool in_line = false;
    bool begun = false;             // something of its turn has ended
    bool oldest_looked_at = false;  // in this turn
    bool awaited = false;           // the disk has begun to wait for it
    bool worth_waiting;
  };

  struct Process {
    DecayingMean think;  // in think ticks
    SeekMean seek;
    std::uint64_t next_sector = 0;
    std::int64_t ended_ns = -1;  // its last read; before: its first request
  };

  bool is_sync(QueueIndex queue) const noexcept { return queue != writes_; }
  bool used_up(const Queue& queue, std::int64_t now_ns) const noexcept {
    return queue.begun && now_ns >= queue.end_ns;
  }
  std::int64_t slice_ns(QueueIndex queue) const noexcept {
    return is_sync(queue) ? slice_sync_ns_ : slice_async_ns_;
  }

  void end_wait_if_due(std::int64_t now_ns);
  void learn(Process& process, const IoRequest& request, std::int64_t now_ns) noexcept;
  void judge_waiting(QueueIndex queue, const Process& process) noexcept;
  bool seeky(const Process& process) const noexcept;
  bool interrupts(QueueIndex queue, std::uint64_t sector, std::int64_t now_ns) const noexcept;
  void wait_for_active(std::int64_t now_ns) noexcept;
  void judge_depth() noexcept;

  void line_up(QueueIndex index, std::int64_t key_ns);
  void line_up_again(QueueIndex index, std::int64_t now_ns);
  void leave_line(QueueIndex index);
  void end_turn(std::int64_t now_ns, bool bank);
  std::optional<QueueIndex> select(std::int64_t now_ns);
  bool may_dispatch(QueueIndex queue) const noexcept;
  void fill_ready(std::int64_t now_ns);
  void make_ready(QueueIndex index, Slot slot);
  void insert_ready(Slot slot);
  Slot pick(QueueIndex index, std::int64_t now_ns);
  Decision send();

  const QueueIndex writes_;
  const std::uint32_t quantum_;
  const std::int64_t fifo_expire_sync_ns_;
  const std::int64_t fifo_expire_async_ns_;
  const std::int64_t slice_sync_ns_;
  const std::int64_t slice_async_ns_;
  const std::uint32_t turn_of_writes_;
  const std::int64_t slice_scale_;
  const std::int64_t slice_idle_ns_;
  const std::int64_t seeky_idle_ns_;
  const std::uint64_t seeky_sectors_;
  const std::uint32_t min_samples_;
  const std::uint32_t hw_depth_;
  const std::uint32_t hw_samples_;
  const std::int64_t think_tick_ns_;
  const bool drain_;
  const std::uint32_t quanta_alone_;
  const bool resid_credit_;
  const OneWay one_way_;
  const SeekReach reach_;

  Backlog backlog_;   // each queue in a range of sectors of its own
  SlotLists queued_;  // by queue, in order of arrival
  std::vector<Queue> queues_;
  std::vector<Process> processes_;
  std::vector<QueueIndex> line_;  // those with requests, in the order of their turns
  std::optional<QueueIndex> active_{};
  std::optional<std::uint32_t> active_owner_{};  // of the first request of the turn
  std::optional<std::int64_t> wait_until_ns_{};

  struct Chosen {
    Transfer transfer;
    std::uint32_t requests;
    Slot first;
  };
  std::vector<Slot> ready_;     // the oldest of each transfer
  std::vector<Chosen> chosen_;  // by that slot
  std::vector<Slot> chain_;     // from the first of a transfer's to the last
  std::vector<Slot> sent_;      // of the transfer dispatched last
  std::uint32_t ready_requests_ = 0;

  std::uint64_t head_ = 0;  // end of what the disk took last
  std::uint32_t at_disk_ = 0;
  std::uint32_t sync_dispatched_ = 0;
  bool deep_ = true;  // the disk takes many requests at once
  std::uint32_t peak_ = 0;
  std::uint32_t depth_samples_ = 0;
};

}  // namespace fairlead::disk
