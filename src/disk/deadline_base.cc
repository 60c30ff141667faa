// SPDX-License-Identifier: Apache-2.0
#include "disk/deadline_base.h"

namespace fairlead::disk {

std::vector<Parameter> DeadlineBase::parameters_of(const char* source) {
  return {{"read_expire", 500'000'000, Unit::kNs, source},
          {"write_expire", 5'000'000'000, Unit::kNs, source},
          {"fifo_batch", 16, Unit::kCount, source, 1, 1 << 20},
          {"writes_starved", 2, Unit::kCount, source, 0, 1 << 20}};
}

DeadlineBase::DeadlineBase(const SchedulerShape& shape, const Parameters& parameters)
    : backlogs_{Backlog(shape), Backlog(shape)},
      expire_ns_{parameters["read_expire"], parameters["write_expire"]},
      fifo_batch_(parameters.count("fifo_batch")),
      writes_starved_(parameters.count("writes_starved")) {}

std::optional<DeadlineBase::Kind> DeadlineBase::begin_batch() noexcept {
  batch_ = 0;
  const bool writes = !backlogs_[kWrites].empty();
  if (!backlogs_[kReads].empty() && (!writes || starved_++ < writes_starved_)) return kReads;
  if (!writes) return {};
  starved_ = 0;
  return kWrites;
}

}  // namespace fairlead::disk
