// SPDX-License-Identifier: Apache-2.0
//
// DeadlineScheduler: Linux 2.6.29's deadline.  Reads or writes in batches, each batch upwards from
// where the last one of it ended; a batch begins with the oldest request if that is overdue, or if
// there is nothing above.
// Source: Linux 2.6.29, block/deadline-iosched.c.
//
// Nobody waits for ever: reads that are overdue begin the next batch of reads, writes that of
// writes.
#pragma once

#include <optional>
#include <vector>

#include "disk/deadline_base.h"

namespace fairlead::disk {

class DeadlineScheduler final : public DeadlineBase {
 public:
  static std::vector<Parameter> parameters() {
    return parameters_of("block/deadline-iosched.c, Linux 2.6.29");
  }
  using DeadlineBase::DeadlineBase;

  void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) override;
  Decision next(std::int64_t now_ns) override;

 private:
  Decision send(Kind kind, Slot slot);

  // What follows in sector order on what was sent last, and of which kind that is.
  std::optional<Slot> next_{};
  Kind next_kind_ = kReads;
};

}  // namespace fairlead::disk
