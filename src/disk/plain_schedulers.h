// SPDX-License-Identifier: Apache-2.0
//
// Schedulers that choose one of all that waits, reads and writes alike, by a rule of their own;
// adjacent requests are merged.
//
//     NoopScheduler    first come, first served, as Linux' noop
//     SatfScheduler    shortest access time first, where that grows with the distance from the
//                      head in sectors; what is far waits as long as something nearer comes
//     CscanScheduler   upwards from the head, at the end from the lowest again; nobody waits for
//                      more than two turns
//     TScheduler       algorithm T, computed anew for each dispatch
//
// A rule is a class with parameters(), a constructor (shape, parameters), and the slot to send:
// rule(backlog, head, now_ns), for a backlog that is not empty.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <vector>

#include "disk/backlog.h"
#include "disk/best_first.h"
#include "disk/parameters.h"
#include "disk/scheduler.h"

namespace fairlead::disk {

template <typename Rule>
class PlainScheduler final : public Scheduler {
 public:
  static std::vector<Parameter> parameters() { return Rule::parameters(); }
  PlainScheduler(const SchedulerShape& shape, const Parameters& parameters)
      : backlog_(shape), rule_(shape, parameters) {}

  void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) override {
    backlog_.add(slot, request, now_ns);
  }
  Decision next(std::int64_t now_ns) override {
    if (backlog_.empty()) return {};
    const Transfer transfer = backlog_.take(rule_(backlog_, head_, now_ns));
    head_ = transfer.end();
    return Decision::dispatch(transfer);
  }
  std::uint32_t waiting() const noexcept override { return backlog_.requests(); }

 private:
  Backlog backlog_;
  Rule rule_;
  std::uint64_t head_ = 0;
};

// Of rules without parameters.
struct PlainRule {
  static std::vector<Parameter> parameters() { return {}; }
  PlainRule(const SchedulerShape&, const Parameters&) {}
};

struct OldestFirst : PlainRule {
  using PlainRule::PlainRule;
  Slot operator()(const Backlog& backlog, std::uint64_t, std::int64_t) const {
    return backlog.oldest();
  }
};

struct NearestFirst : PlainRule {
  using PlainRule::PlainRule;
  Slot operator()(const Backlog& backlog, std::uint64_t head, std::int64_t) const {
    return backlog.nearest(head);
  }
};

struct Upwards : PlainRule {
  using PlainRule::PlainRule;
  Slot operator()(const Backlog& backlog, std::uint64_t head, std::int64_t) const {
    return backlog.upwards_from(head);
  }
};

// Who waits longer counts for more if `age_unit` is set (best_first.h).
class LeastSum {
 public:
  static std::vector<Parameter> parameters() {
    return {{"age_unit", 0, Unit::kNs, "ours; 0: all weigh the same"}};
  }
  LeastSum(const SchedulerShape& shape, const Parameters& parameters)
      : best_(shape.slots, parameters["age_unit"]) {}
  Slot operator()(const Backlog& backlog, std::uint64_t head, std::int64_t now_ns) {
    return best_.of(backlog, head, now_ns);
  }

 private:
  BestFirst best_;
};

using NoopScheduler = PlainScheduler<OldestFirst>;
using SatfScheduler = PlainScheduler<NearestFirst>;
using CscanScheduler = PlainScheduler<Upwards>;
using TScheduler = PlainScheduler<LeastSum>;

}  // namespace fairlead::disk
