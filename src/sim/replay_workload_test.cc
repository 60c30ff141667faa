// SPDX-License-Identifier: Apache-2.0
#include "sim/replay_workload.h"

#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "disk/drive.h"
#include "disk/request_csv.h"
#include "disk/scheduler_table.h"
#include "sim/disk_world.h"

namespace fairlead::sim {
namespace {

// What happened, by a run's log.
std::string logged(const char* scheduler, DiskWorkload& workload, std::uint64_t requests) {
  const disk::SchedulerShape shape{.slots = 32};
  const auto chosen = disk::make_scheduler(scheduler, shape);
  const auto model = disk::make_model(disk::LinearShape{});
  disk::ModelledDisk disk(**chosen, *model, shape, {.depth = 2, .tick_ns = 4'000'000});
  std::string log(disk::kRequestCsvHeader);
  const auto run = DiskWorld(disk, shape, workload)
                       .run({.requests = requests, .on_end = [&](const DiskStory& story) {
                               disk::append_csv(log, story);
                             }});
  EXPECT_TRUE(run);
  return log;
}

disk::RequestTrace trace_of(const std::string& log) {
  disk::RequestCsv csv("log");
  EXPECT_TRUE(csv.take(log));
  auto trace = std::move(csv).finish();
  EXPECT_TRUE(trace) << trace.error().message();
  return *std::move(trace);
}

// All that came, but for those who had not ended: the run ends with what was asked by then.
TEST(ReplayWorkload, ALogThatIsReplayedComesOutTheSame) {
  for (const disk::SchedulerKind& kind : disk::scheduler_kinds()) {
    RandomWorkload arrivals({.processes = 8, .arrivals_per_second = 120, .writes = 0.3, .seed = 3});
    // Whoever is in the log, and nobody else, is asked of the second run and the third.
    const disk::RequestTrace trace = trace_of(logged(kind.name, arrivals, 2000));
    ReplayWorkload once(trace);
    const std::string log = logged(kind.name, once, 2000);
    const disk::RequestTrace replayed = trace_of(log);
    ReplayWorkload again(replayed);
    EXPECT_EQ(logged(kind.name, again, 2000), log) << kind.name;
  }
}

TEST(ReplayWorkload, SpeedDividesTheTimes) {
  const disk::RequestTrace trace =
      trace_of("time_s,sector,sectors,owner\n7,8,8,5\n9,0,4,6\n9,80,4,5\n");
  ReplayWorkload workload(trace, 2);
  EXPECT_TRUE(workload.open());
  std::vector<std::tuple<std::int64_t, std::uint64_t, std::uint32_t>> asks;
  while (const auto ask = workload.next(0)) {
    asks.emplace_back(ask->after_ns, ask->request.sector, ask->request.owner);
  }
  EXPECT_THAT(asks,
              testing::ElementsAre(std::tuple(3'500'000'000, 8U, 5U),
                                   std::tuple(1'000'000'000, 0U, 6U), std::tuple(0, 80U, 5U)));
}

TEST(ReplayWorkload, TimeIsCountedFromTheFirstRequest) {
  const disk::RequestTrace trace = trace_of("time_s,sector,sectors\n1000,0,8\n");
  ReplayWorkload workload(trace);
  const disk::SchedulerShape shape{};
  const auto scheduler = disk::make_scheduler("noop", shape);
  const auto model = disk::make_model(disk::LinearShape{});
  disk::ModelledDisk disk(**scheduler, *model, shape, {});
  const auto run = DiskWorld(disk, shape, workload).run({.requests = 1});
  ASSERT_TRUE(run);
  EXPECT_EQ(run->elapsed_ns, 2'000'000);
}

}  // namespace
}  // namespace fairlead::sim
