// SPDX-License-Identifier: Apache-2.0
//
// DeadlineBase: what Linux' old and new deadline schedulers have in common: reads and writes apart,
// each in order of sector and of arrival, and whose batch begins: reads before writes, but for
// `writes_starved` batches at most.
//
// Thread-safety: none.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "disk/backlog.h"
#include "disk/parameters.h"
#include "disk/scheduler.h"

namespace fairlead::disk {

class DeadlineBase : public Scheduler {
 public:
  DeadlineBase(const SchedulerShape& shape, const Parameters& parameters);
  std::uint32_t waiting() const noexcept final {
    return backlogs_[kReads].requests() + backlogs_[kWrites].requests();
  }

 protected:
  enum Kind : std::uint8_t { kReads, kWrites };

  static std::vector<Parameter> parameters_of(const char* source);
  static Kind kind_of(IoOp op) noexcept { return op == IoOp::kRead ? kReads : kWrites; }
  bool batch_full() const noexcept { return batch_ >= fifo_batch_; }
  // When the oldest of a kind is due.  Not for an empty backlog.
  std::int64_t due_ns(Kind kind) const noexcept {
    return backlogs_[kind].arrived_ns(backlogs_[kind].oldest()) + expire_ns_[kind];
  }

  // Begins a batch: whose it is; nothing if nothing waits.
  std::optional<Kind> begin_batch() noexcept;
  // Of the batch.
  Transfer take(Kind kind, Slot slot) {
    ++batch_;
    return backlogs_[kind].take(slot);
  }

  std::array<Backlog, 2> backlogs_;

 private:
  const std::array<std::int64_t, 2> expire_ns_;
  const std::uint32_t fifo_batch_;
  const std::uint32_t writes_starved_;
  std::uint32_t batch_ = 0;    // sent of this batch
  std::uint32_t starved_ = 0;  // batches of reads while writes waited
};

}  // namespace fairlead::disk
