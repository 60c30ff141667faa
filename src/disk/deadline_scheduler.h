// SPDX-License-Identifier: Apache-2.0
//
// DeadlineScheduler: Linux 2.6.29's deadline.  Reads or writes in batches, each batch upwards from
// where the last one of it ended; a batch begins with the oldest request if that is overdue, or if
// there is nothing above.  Reads before writes, but for `writes_starved` batches at most.
// Source: Linux 2.6.29, block/deadline-iosched.c.
//
// Nobody waits for ever: reads that are overdue begin the next batch of reads, writes that of
// writes.
#pragma once

#include <optional>
#include <vector>

#include "disk/backlog.h"
#include "disk/parameters.h"
#include "disk/scheduler.h"

namespace fairlead::disk {

class DeadlineScheduler final : public Scheduler {
 public:
  static std::vector<Parameter> parameters();
  DeadlineScheduler(const SchedulerShape& shape, const Parameters& parameters);

  void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) override;
  Decision next(std::int64_t now_ns) override;
  std::uint32_t waiting() const noexcept override {
    return reads_.backlog.requests() + writes_.backlog.requests();
  }

 private:
  struct Side {
    Backlog backlog;
    std::int64_t expire_ns;
    std::optional<Slot> next{};  // what follows in sector order on what was sent last

    bool overdue(std::int64_t now_ns) const noexcept {
      return now_ns > backlog.arrived_ns(backlog.oldest()) + expire_ns;
    }
  };

  Side* turn();
  Decision send(Side& side, Slot slot);

  const std::uint32_t fifo_batch_;
  const std::uint32_t writes_starved_;
  Side reads_;
  Side writes_;
  std::uint32_t batch_ = 0;    // sent of this batch
  std::uint32_t starved_ = 0;  // batches of reads while writes waited
};

}  // namespace fairlead::disk
