// SPDX-License-Identifier: Apache-2.0
//
// Time of a request's whole way through the queue (push, next, completed), all clients backlogged;
// and of a miss's way through the miss table.
#include <deque>

#include <benchmark/benchmark.h>

#include "disk/fair_queue.h"
#include "disk/miss_table.h"
#include "disk/mix.h"

namespace fairlead::disk {
namespace {

// `unequal`: every fourth client asks for 128 sectors, the others for one.
void push_next_completed(benchmark::State& state, bool unequal) {
  const auto clients = static_cast<std::uint32_t>(state.range(0));
  FairQueue queue(1024);
  std::int64_t now = 0;
  const auto push = [&](ClientIndex client) {
    queue.push(client, 0, unequal && client % 4 == 0 ? 128 : 1);
  };
  for (std::uint32_t c = 0; c < clients; ++c) {
    const ClientIndex client = *queue.add(1, 32);
    for (int i = 0; i < 32; ++i) push(client);
  }
  std::deque<ClientIndex> at_device;
  while (const auto pick = queue.next(now)) at_device.push_back(pick->client);
  for (auto _ : state) {
    now += 12'000;
    queue.completed(at_device.front());
    push(at_device.front());
    at_device.pop_front();
    while (const auto pick = queue.next(now)) at_device.push_back(pick->client);
  }
}
BENCHMARK_CAPTURE(push_next_completed, equal, false)->Arg(1)->Arg(4)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(push_next_completed, unequal, true)->Arg(4)->Arg(64)->Arg(1024);

void miss_start_join_finish(benchmark::State& state) {
  constexpr std::uint32_t kInFlight = 256;
  MissTable table(kInFlight, 1024);
  std::uint64_t sector = 0;
  std::deque<std::uint32_t> slots;
  std::uint32_t waiter = 0;
  const auto start = [&] {
    slots.push_back(table.find_or_start(mix64(++sector) >> 20, 1)->slot);
    table.join(slots.back(), waiter++ % 1024);
  };
  for (std::uint32_t i = 0; i + 1 < kInFlight; ++i) start();
  for (auto _ : state) {
    start();
    table.finish(slots.front(), [](std::uint32_t each) { benchmark::DoNotOptimize(each); });
    slots.pop_front();
  }
}
BENCHMARK(miss_start_join_finish);

}  // namespace
}  // namespace fairlead::disk
