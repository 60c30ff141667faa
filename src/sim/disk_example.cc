// SPDX-License-Identifier: Apache-2.0
#include "sim/disk_example.h"

#include <utility>

#include "base/check.h"
#include "disk/scheduler_table.h"

namespace fairlead::sim {
namespace {

constexpr disk::SchedulerShape kShape{.slots = 8, .owners = 8};

// The scheduler's order, once the disk has read what lies in front of the head.
std::vector<std::uint64_t> order_of(const char* name) {
  auto scheduler = disk::make_scheduler(name, kShape);
  FL_CHECK(scheduler);
  disk::Scheduler& one = **scheduler;
  one.arrived(0, {.sector = kExampleHead - 1, .sector_count = 1}, 0);
  (void)one.next(0);
  disk::Slot slot = 1;
  for (const std::uint64_t place : kExamplePlaces) {
    one.arrived(slot++, {.sector = place, .sector_count = 1}, 0);
  }
  std::vector<std::uint64_t> order;
  for (auto next = one.next(0); next.kind == disk::Decision::Kind::kDispatch; next = one.next(0)) {
    order.push_back(next.transfer.sector);
  }
  return order;
}

ExampleTable table(const char* name, const char* scheduler) {
  ExampleTable table{.name = name, .scheduler = scheduler, .rows = {}};
  std::uint64_t head = kExampleHead;
  std::uint64_t time = 0;
  for (const std::uint64_t place : order_of(scheduler)) {
    const std::uint64_t service = disk::sectors_apart(place, head);
    table.rows.push_back({place, service, time});
    table.mean_service += static_cast<double>(service);
    table.mean_wait += static_cast<double>(time);
    time += service;
    head = place;
  }
  const auto count = static_cast<double>(table.rows.size());
  table.mean_service /= count;
  table.mean_wait /= count;
  table.mean_response = table.mean_service + table.mean_wait;
  return table;
}

}  // namespace

std::vector<ExampleTable> worked_example() {
  return {table("FCFS", "noop"), table("SATF", "satf"), table("OPT", "t")};
}

}  // namespace fairlead::sim
