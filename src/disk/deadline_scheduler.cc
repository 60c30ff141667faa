// SPDX-License-Identifier: Apache-2.0
#include "disk/deadline_scheduler.h"

namespace fairlead::disk {
namespace {

constexpr const char* kSource = "block/deadline-iosched.c, Linux 2.6.29";

}  // namespace

std::vector<Parameter> DeadlineScheduler::parameters() {
  return {{"read_expire", 500'000'000, Unit::kNs, kSource},
          {"write_expire", 5'000'000'000, Unit::kNs, kSource},
          {"fifo_batch", 16, Unit::kCount, kSource, 1, 1 << 20},
          {"writes_starved", 2, Unit::kCount, kSource, 0, 1 << 20}};
}

DeadlineScheduler::DeadlineScheduler(const SchedulerShape& shape, const Parameters& parameters)
    : fifo_batch_(parameters.count("fifo_batch")),
      writes_starved_(parameters.count("writes_starved")),
      reads_{Backlog(shape), parameters["read_expire"]},
      writes_{Backlog(shape), parameters["write_expire"]} {}

void DeadlineScheduler::arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) {
  Side& side = request.op == IoOp::kRead ? reads_ : writes_;
  side.backlog.add(slot, request, now_ns);
  if (side.next) side.next = side.backlog.whole_of(*side.next);
}

// Whose batch begins; nullptr: nothing waits.
DeadlineScheduler::Side* DeadlineScheduler::turn() {
  if (!reads_.backlog.empty() && (writes_.backlog.empty() || starved_++ < writes_starved_)) {
    return &reads_;
  }
  if (writes_.backlog.empty()) return nullptr;
  starved_ = 0;
  return &writes_;
}

Decision DeadlineScheduler::next(std::int64_t now_ns) {
  Side* side = writes_.next ? &writes_ : &reads_;
  if (side->next && batch_ < fifo_batch_) return send(*side, *side->next);
  side = turn();
  if (side == nullptr) return {};
  batch_ = 0;
  const bool anew = !side->next || side->overdue(now_ns);
  return send(*side, anew ? side->backlog.oldest() : *side->next);
}

Decision DeadlineScheduler::send(Side& side, Slot slot) {
  ++batch_;
  reads_.next.reset();
  writes_.next.reset();
  const Transfer transfer = side.backlog.take(slot);
  const std::uint32_t after = side.backlog.below(transfer.sector);
  if (after < side.backlog.size()) side.next = side.backlog.at(after);
  return Decision::dispatch(transfer);
}

}  // namespace fairlead::disk
