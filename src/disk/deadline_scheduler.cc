// SPDX-License-Identifier: Apache-2.0
#include "disk/deadline_scheduler.h"

namespace fairlead::disk {

void DeadlineScheduler::arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) {
  backlogs_[kind_of(request.op)].add(slot, request, now_ns);
  if (next_) next_ = backlogs_[next_kind_].whole_of(*next_);
}

Decision DeadlineScheduler::next(std::int64_t now_ns) {
  if (next_ && !batch_full()) return send(next_kind_, *next_);
  const auto kind = begin_batch();
  if (!kind) return {};
  const bool anew = !next_ || *kind != next_kind_ || now_ns > due_ns(*kind);
  return send(*kind, anew ? backlogs_[*kind].oldest() : *next_);
}

Decision DeadlineScheduler::send(Kind kind, Slot slot) {
  const Backlog& backlog = backlogs_[kind];
  const Transfer transfer = take(kind, slot);
  const std::uint32_t after = backlog.below(transfer.sector);
  next_.reset();
  if (after < backlog.size()) next_ = backlog.at(after);
  next_kind_ = kind;
  return Decision::dispatch(transfer);
}

}  // namespace fairlead::disk
