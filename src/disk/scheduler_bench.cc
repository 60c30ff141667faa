// SPDX-License-Identifier: Apache-2.0
//
// Time of a request's whole way through a scheduler (arrived, next, completed), so many waiting,
// each of a process of its own: state.range(0).  Every fourth is a write.
#include <benchmark/benchmark.h>

#include "base/random.h"
#include "disk/scheduler_table.h"

namespace fairlead::disk {
namespace {

void arrived_next_completed(benchmark::State& state, const char* spec) {
  const auto waiting = static_cast<std::uint32_t>(state.range(0));
  const auto scheduler = *make_scheduler(spec, {.slots = waiting, .owners = waiting});
  base::Random random(1);
  std::int64_t now = 0;
  const auto arrive = [&](Slot slot) {
    scheduler->arrived(slot,
                       {.sector = random.below(10'000'000) * 8,
                        .sector_count = 8,
                        .op = random.below(4) == 0 ? IoOp::kWrite : IoOp::kRead,
                        .owner = slot},
                       now);
  };
  for (Slot slot = 0; slot < waiting; ++slot) arrive(slot);
  for (auto _ : state) {
    Decision decision;
    while ((decision = scheduler->next(now)).kind != Decision::Kind::kDispatch) {
      now = decision.until_ns;
    }
    now += 2'000'000;
    scheduler->completed(decision.transfer, now);
    for (const Slot slot : decision.transfer.slots) arrive(slot);
  }
}
BENCHMARK_CAPTURE(arrived_next_completed, deadline, "deadline")->Arg(64)->Arg(512)->Arg(4096);
BENCHMARK_CAPTURE(arrived_next_completed, anticipatory, "anticipatory")
    ->Arg(64)
    ->Arg(512)
    ->Arg(4096);
BENCHMARK_CAPTURE(arrived_next_completed, cfq, "cfq")->Arg(64)->Arg(512)->Arg(4096);
BENCHMARK_CAPTURE(arrived_next_completed, cfq_one_by_one, "cfq:drain=0")
    ->Arg(64)
    ->Arg(512)
    ->Arg(4096);

}  // namespace
}  // namespace fairlead::disk
