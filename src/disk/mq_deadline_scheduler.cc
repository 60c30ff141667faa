// SPDX-License-Identifier: Apache-2.0
#include "disk/mq_deadline_scheduler.h"

namespace fairlead::disk {

void MqDeadlineScheduler::arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) {
  backlogs_[kind_of(request.op)].add(slot, request, now_ns);
}

Decision MqDeadlineScheduler::next(std::int64_t now_ns) {
  if (!batch_full() && has_next(last_)) {
    return send(last_, backlogs_[last_].upwards_from(position_[last_]));
  }
  const auto kind = begin_batch();
  if (!kind) return {};
  const Backlog& backlog = backlogs_[*kind];
  const bool anew = !has_next(*kind) || now_ns >= due_ns(*kind);
  return send(*kind, anew ? backlog.oldest() : backlog.upwards_from(position_[*kind]));
}

Decision MqDeadlineScheduler::send(Kind kind, Slot slot) {
  const Transfer transfer = take(kind, slot);
  position_[kind] = transfer.sector;
  last_ = kind;
  return Decision::dispatch(transfer);
}

}  // namespace fairlead::disk
