// SPDX-License-Identifier: Apache-2.0
//
// MqDeadlineScheduler: the deadline scheduler of today's Linux.  Unlike the old one it looks up
// what is next above where this kind of request was last, so what has come since counts too, and it
// remembers that place while the other kind has its turn.  Requests here have no priorities, so
// those of the original, with prio_aging_expire, have nothing to do.
// Source: Linux 6.1, block/mq-deadline.c.
#pragma once

#include <vector>

#include "disk/backlog.h"
#include "disk/parameters.h"
#include "disk/scheduler.h"

namespace fairlead::disk {

class MqDeadlineScheduler final : public Scheduler {
 public:
  static std::vector<Parameter> parameters();
  MqDeadlineScheduler(const SchedulerShape& shape, const Parameters& parameters);

  void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) override;
  Decision next(std::int64_t now_ns) override;
  std::uint32_t waiting() const noexcept override {
    return reads_.backlog.requests() + writes_.backlog.requests();
  }

 private:
  struct Side {
    Backlog backlog;
    std::int64_t expire_ns;
    std::uint64_t position = 0;  // of what was sent last

    bool has_next() const noexcept { return backlog.below(position) < backlog.size(); }
    bool overdue(std::int64_t now_ns) const noexcept {
      return now_ns >= backlog.arrived_ns(backlog.oldest()) + expire_ns;
    }
  };

  Side* turn();
  Decision send(Side& side, Slot slot);

  const std::uint32_t fifo_batch_;
  const std::uint32_t writes_starved_;
  Side reads_;
  Side writes_;
  Side* last_ = &reads_;
  std::uint32_t batch_ = 0;
  std::uint32_t starved_ = 0;
};

}  // namespace fairlead::disk
