// SPDX-License-Identifier: Apache-2.0
//
// MqDeadlineScheduler: the deadline scheduler of today's Linux.  Unlike the old one it looks up
// what is next above where this kind of request was last, so what has come since counts too, and it
// remembers that place while the other kind has its turn.  Requests here have no priorities, so
// those of the original, with prio_aging_expire, have nothing to do.
// Source: Linux 6.1, block/mq-deadline.c.
#pragma once

#include <array>
#include <vector>

#include "disk/deadline_base.h"

namespace fairlead::disk {

class MqDeadlineScheduler final : public DeadlineBase {
 public:
  static std::vector<Parameter> parameters() {
    return parameters_of("block/mq-deadline.c, Linux 6.1");
  }
  using DeadlineBase::DeadlineBase;

  void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) override;
  Decision next(std::int64_t now_ns) override;

 private:
  bool has_next(Kind kind) const noexcept {
    return backlogs_[kind].below(position_[kind]) < backlogs_[kind].size();
  }
  Decision send(Kind kind, Slot slot);

  std::array<std::uint64_t, 2> position_{};  // of what was sent last
  Kind last_ = kReads;
};

}  // namespace fairlead::disk
