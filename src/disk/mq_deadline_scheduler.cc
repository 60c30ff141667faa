// SPDX-License-Identifier: Apache-2.0
#include "disk/mq_deadline_scheduler.h"

namespace fairlead::disk {
namespace {

constexpr const char* kSource = "block/mq-deadline.c, Linux 6.1";

}  // namespace

std::vector<Parameter> MqDeadlineScheduler::parameters() {
  return {{"read_expire", 500'000'000, Unit::kNs, kSource},
          {"write_expire", 5'000'000'000, Unit::kNs, kSource},
          {"fifo_batch", 16, Unit::kCount, kSource, 1, 1 << 20},
          {"writes_starved", 2, Unit::kCount, kSource, 0, 1 << 20}};
}

MqDeadlineScheduler::MqDeadlineScheduler(const SchedulerShape& shape, const Parameters& parameters)
    : fifo_batch_(parameters.count("fifo_batch")),
      writes_starved_(parameters.count("writes_starved")),
      reads_{Backlog(shape), parameters["read_expire"]},
      writes_{Backlog(shape), parameters["write_expire"]} {}

void MqDeadlineScheduler::arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) {
  (request.op == IoOp::kRead ? reads_ : writes_).backlog.add(slot, request, now_ns);
}

// Whose batch begins; nullptr: nothing waits.
MqDeadlineScheduler::Side* MqDeadlineScheduler::turn() {
  if (!reads_.backlog.empty() && (writes_.backlog.empty() || starved_++ < writes_starved_)) {
    return &reads_;
  }
  if (writes_.backlog.empty()) return nullptr;
  starved_ = 0;
  return &writes_;
}

Decision MqDeadlineScheduler::next(std::int64_t now_ns) {
  if (batch_ < fifo_batch_ && last_->has_next()) {
    return send(*last_, last_->backlog.upwards_from(last_->position));
  }
  Side* const side = turn();
  if (side == nullptr) return {};
  last_ = side;
  batch_ = 0;
  const bool anew = !side->has_next() || side->overdue(now_ns);
  return send(*side, anew ? side->backlog.oldest() : side->backlog.upwards_from(side->position));
}

Decision MqDeadlineScheduler::send(Side& side, Slot slot) {
  ++batch_;
  const Transfer transfer = side.backlog.take(slot);
  side.position = transfer.sector;
  return Decision::dispatch(transfer);
}

}  // namespace fairlead::disk
