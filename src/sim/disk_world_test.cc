// SPDX-License-Identifier: Apache-2.0
#include "sim/disk_world.h"

#include <algorithm>
#include <map>
#include <ranges>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "disk/drive.h"
#include "disk/scheduler_table.h"
#include "sim/disk_example.h"

namespace fairlead::sim {
namespace {

constexpr double kNsPerMs = 1e6;

struct Setup {
  const char* scheduler = "deadline";
  disk::SchedulerShape shape{.slots = 64};
  disk::DiskQueueing queueing{};
  disk::DriveShape drive = disk::LinearShape{};
};

base::Result<DiskRun> run(const Setup& setup, DiskWorkload& workload, const DiskPlan& plan) {
  const auto scheduler = disk::make_scheduler(setup.scheduler, setup.shape);
  if (!scheduler) return base::fail(scheduler.error());
  const auto model = disk::make_model(setup.drive);
  disk::ModelledDisk disk(**scheduler, *model, setup.shape, setup.queueing);
  return DiskWorld(disk, setup.shape, workload).run(plan);
}

TEST(DiskWorld, CountsWhatWasAskedForAndNothingBefore) {
  RandomWorkload workload({.processes = 4, .seed = 1});
  const auto result = run({}, workload, {.requests = 1000, .warm_up = 100});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->requests, 1000U);
  EXPECT_EQ(result->sectors, 8000U);
  EXPECT_EQ(result->response_ns.count(), 1000U);
}

TEST(DiskWorld, AClosedLoopHoldsTheLawOfLittle) {
  // N = X · (R + Z): processes, requests per time, response, thinking.
  RandomWorkload workload({.processes = 16, .think_ms = 20, .seed = 2});
  const auto result = run({}, workload, {.requests = 50'000, .warm_up = 1000});
  ASSERT_TRUE(result);
  const double per_ms = result->sectors_per_ms() / 8;
  EXPECT_NEAR(per_ms * (result->response_ns.mean() / kNsPerMs + 20), 16, 0.3);
}

TEST(DiskWorld, TheServiceOfADepthOfTwoIsTwoAccessesLong) {
  RandomWorkload workload({.processes = 16, .seed = 3});
  const auto result = run({.queueing = {.depth = 2}}, workload, {.requests = 20'000});
  ASSERT_TRUE(result);
  EXPECT_NEAR(result->service_ns.mean() / kNsPerMs * result->sectors_per_ms() / 8, 2, 0.01);
}

TEST(DiskWorld, TheSameSeedGivesTheSameRunAndAnotherOneAnother) {
  const auto stories = [](std::uint64_t seed) {
    StudyWorkload workload({.processes = 8, .files = 100, .seed = seed});
    std::vector<std::int64_t> ends;
    const auto result = run({}, workload, {.requests = 500, .on_end = [&](const DiskStory& story) {
                                             ends.push_back(story.ended_ns);
                                           }});
    EXPECT_TRUE(result);
    return ends;
  };
  EXPECT_EQ(stories(5), stories(5));
  EXPECT_NE(stories(5), stories(6));
}

TEST(DiskWorld, RequestsBeyondTheSlotsWaitTheirTurn) {
  RandomWorkload workload({.processes = 32, .seed = 4});
  std::set<std::uint64_t> numbers;
  const auto result = run({.shape = {.slots = 4}}, workload,
                          {.requests = 2000, .on_end = [&](const DiskStory& story) {
                             EXPECT_TRUE(numbers.insert(story.number).second);
                             EXPECT_LE(story.arrived_ns, story.dispatched_ns);
                           }});
  ASSERT_TRUE(result);
  EXPECT_EQ(numbers.size(), 2000U);
}

TEST(DiskWorld, NumbersAreThoseOfArrival) {
  RandomWorkload workload({.processes = 8, .think_ms = 10, .seed = 4});
  std::map<std::uint64_t, std::int64_t> arrived;
  ASSERT_TRUE(run({}, workload, {.requests = 1000, .on_end = [&](const DiskStory& story) {
                                   arrived[story.number] = story.arrived_ns;
                                 }}));
  EXPECT_TRUE(std::ranges::is_sorted(arrived | std::views::values));
}

TEST(DiskWorld, AFaultOfTheThrottleIsOnEachAccess) {
  const auto mean_ms = [](std::int64_t extra_ns) {
    RandomWorkload workload({.processes = 1, .seed = 5});
    const auto result = run({.queueing = {.extra_ns = extra_ns}}, workload, {.requests = 1000});
    return result ? result->service_ns.mean() / kNsPerMs : -1;
  };
  EXPECT_NEAR(mean_ms(300'000) - mean_ms(0), 0.3, 1e-6);
}

TEST(DiskWorld, ArrivalsThatOutrunTheDiskEndTheRun) {
  RandomWorkload workload({.processes = 4, .arrivals_per_second = 1e9, .seed = 6});
  const auto result = run({}, workload, {.requests = 1'000'000'000});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), base::ErrorKind::kLimit);
}

TEST(DiskWorld, ArrivalsComeAtTheirRate) {
  RandomWorkload workload({.processes = 4, .arrivals_per_second = 100, .seed = 7});
  const auto result = run({}, workload, {.requests = 20'000});
  ASSERT_TRUE(result);
  EXPECT_NEAR(static_cast<double>(result->elapsed_ns) / 1e9, 200, 4);
}

TEST(StudyWorkload, ReadsFilesPageByPage) {
  StudyWorkload workload({.processes = 3, .files = 50, .sectors = 10'000'000, .seed = 1});
  std::uint64_t last = 0;
  int onwards = 0;
  for (int i = 0; i < 30'000; ++i) {
    const auto ask = workload.next(1);
    ASSERT_TRUE(ask);
    EXPECT_EQ(ask->request.owner, 1U);
    EXPECT_EQ(ask->request.sector_count, 8U);
    EXPECT_LE(ask->request.sector + 8, 10'000'000U);
    EXPECT_GE(ask->after_ns, i == 0 ? 0 : 8'000'000) << "sleeps before each page";
    onwards += ask->request.sector == last + 8 ? 1 : 0;
    last = ask->request.sector;
  }
  EXPECT_GT(onwards, 15'000) << "files have more than two pages on average";
}

TEST(StudyWorkload, AProcessDoesTheSameWhateverTheOthersDo) {
  StudyWorkload one({.processes = 2, .seed = 1});
  StudyWorkload two({.processes = 2, .seed = 1});
  for (int i = 0; i < 100; ++i) {
    (void)two.next(0);
    EXPECT_EQ(one.next(1)->request.sector, two.next(1)->request.sector);
  }
}

TEST(StudyWorkload, TheSleepsHaveParetosMean) {
  StudyWorkload workload({.processes = 1, .sleep_alpha = 3, .sleep_least_ms = 10, .seed = 1});
  double sum = 0;
  for (int i = 0; i < 20'000; ++i) sum += static_cast<double>(workload.next(0)->after_ns);
  EXPECT_NEAR(sum / 20'000 / kNsPerMs, 15, 0.3);  // alpha · least / (alpha - 1)
}

TEST(StudyWorkload, SaysIfItsFilesDoNotFit) {
  EXPECT_TRUE(StudyWorkload::fits({.files = 100}));
  EXPECT_FALSE(StudyWorkload::fits({.files = 100, .sectors = 1000}));
}

TEST(StarvingWorkload, HasOneReaderFarAway) {
  StarvingWorkload workload({.processes = 4, .sectors = 1'000'000});
  for (int i = 0; i < 100; ++i) {
    EXPECT_GE(workload.next(0)->request.sector, 890'000U);
    EXPECT_LE(workload.next(3)->request.sector, 10'000U);
  }
}

TEST(WorkedExample, IsTheDocuments) {
  const auto tables = worked_example();
  ASSERT_EQ(tables.size(), 3U);
  EXPECT_DOUBLE_EQ(tables[0].mean_response, 138.50);
  EXPECT_DOUBLE_EQ(tables[1].mean_response, 62.00);
  EXPECT_DOUBLE_EQ(tables[2].mean_response, 61.00);
  EXPECT_DOUBLE_EQ(tables[0].mean_service, 49.75);
  EXPECT_DOUBLE_EQ(tables[2].mean_wait, 24.75);
  EXPECT_EQ(tables[2].rows[1].place, 41U);
  EXPECT_EQ(tables[1].rows[2].response(), 63U);
}

}  // namespace
}  // namespace fairlead::sim
