// SPDX-License-Identifier: Apache-2.0
#include "sim/disk_prediction.h"

#include <cmath>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/testing_fit.h"

namespace fairlead::sim {
namespace {

// Enough of them that the disk has a queue to choose from.
StudyWorkload readers() {
  return StudyWorkload({.processes = 48, .files = 300, .sectors = 20'000'000, .seed = 5});
}

disk::RequestTrace run_under(const std::string& scheduler) {
  const disk::SchedulerShape shape{};
  const auto chosen = disk::make_scheduler(scheduler, shape);
  const auto model = disk::make_model(platters());
  disk::ModelledDisk disk(**chosen, *model, shape, {.depth = 2});
  StudyWorkload workload = readers();
  disk::RequestTrace trace{.name = scheduler, .requests = {}};
  const auto add = [&](const DiskStory& story) { trace.requests.push_back(disk::recorded(story)); };
  EXPECT_TRUE(DiskWorld(disk, shape, workload).run({.requests = 20'000, .on_end = add}));
  return *disk::in_order(std::move(trace));
}

constexpr const char* kFigures[] = {"service", "response", "p99", "throughput"};

std::string compared(const PredictedScheduler& one, const PredictedFigures& truth) {
  std::string out;
  for (std::size_t i = 0; i < kPredictedFigures; ++i) {
    out += fmt::format("{} {} {:.3f}: {:.3f} ± {:.3f}\n", one.scheduler, kFigures[i], truth[i],
                       one.mean[i], one.half_width[i]);
  }
  return out;
}

DiskPrediction predicted(const disk::DriveShape& like, std::uint64_t seed = 1) {
  auto prediction = predict(
      run_under("deadline"), like,
      {.ran = "deadline", .schedulers = {"deadline", "cats", "cfq"}, .draws = 8, .seed = seed});
  EXPECT_TRUE(prediction) << prediction.error().message();
  return *std::move(prediction);
}

// How many of the figures lie outside of their intervals; none by more than half of half of it.
std::size_t outside(const DiskPrediction& prediction) {
  std::size_t count = 0;
  for (const PredictedScheduler& one : prediction.others) {
    const PredictedFigures truth = predicted_figures(observed_run(run_under(one.scheduler)));
    for (std::size_t i = 0; i < kPredictedFigures; ++i) {
      const double away = std::abs(truth[i] - one.mean[i]);
      count += away > one.half_width[i] ? 1 : 0;
      EXPECT_LT(away, 1.5 * one.half_width[i]) << compared(one, truth);
    }
  }
  return count;
}

TEST(DiskPrediction, TheTruthLiesInTheIntervals) {
  disk::MechanicalShape like = platters();
  like.rotation_ns = 5'500'000;
  like.seek_one_ns = 300'000;
  like.seek_average_ns = 3'500'000;
  like.seek_full_ns = 8'000'000;
  like.hit_overhead_ns = 200'000;
  const DiskPrediction prediction = predicted(like);
  ASSERT_EQ(prediction.others.size(), 3U);
  EXPECT_GT(prediction.fit.coherence, 0.9);
  EXPECT_LE(outside(prediction), 1U) << "of twelve, each with 95 % to be inside";
  for (const PredictedScheduler& one : prediction.others) {
    EXPECT_LT(one.half_width[0], 0.3 * one.mean[0]) << "it says something";
    EXPECT_LT(one.half_width[3], 0.15 * one.mean[3]) << "it says something";
  }
  EXPECT_EQ(prediction.early, 0);
}

TEST(DiskPrediction, OfAModelThatIsTooPlainTheIntervalsAreWider) {
  const DiskPrediction plain =
      predicted(disk::LinearShape{.sectors = platters().sectors, .cache = {}});
  EXPECT_GT(plain.others[0].half_width[0], 0.5 * plain.others[0].mean[0]);
  EXPECT_LE(outside(plain), 3U);
}

TEST(DiskPrediction, TheSameSeedPredictsTheSame) {
  const disk::DriveShape like = disk::LinearShape{.sectors = platters().sectors, .cache = {}};
  const DiskPrediction one = predicted(like);
  EXPECT_EQ(one.others[1].mean, predicted(like).others[1].mean);
  EXPECT_NE(one.others[1].mean, predicted(like, 9).others[1].mean);
}

disk::RequestTrace small_trace() {
  const auto at = [](std::int64_t arrived, std::int64_t ended, std::uint32_t owner) {
    return disk::RecordedRequest{.arrived_ns = arrived,
                                 .dispatched_ns = arrived,
                                 .ended_ns = ended,
                                 .sector = static_cast<std::uint64_t>(arrived),
                                 .sector_count = 1,
                                 .owner = owner};
  };
  disk::RequestTrace trace{.name = "t",
                           .requests = {at(5, 10, 7), at(6, 30, 9), at(14, 40, 7), at(20, 60, 7)},
                           .owners = 10};
  for (std::size_t i = 0; i < 4; ++i) trace.requests[i].number = i;
  return trace;
}

TEST(Chains, OfAClosedLoopSayHowLongEachThought) {
  const Chains chains = chains_of(small_trace(), Loop::kClosed);
  ASSERT_EQ(chains.chains.size(), 2U);
  EXPECT_EQ(chains.owners, 2U);
  EXPECT_EQ(chains.early, 1U) << "that at 20, before the answer at 40";
  const auto& first = chains.chains[0];
  EXPECT_EQ(first[1].after_ns, 4);
  EXPECT_EQ(first[2].after_ns, 0);
  EXPECT_EQ(first[1].request.owner, 0U);
  EXPECT_EQ(chains.chains[1][0].after_ns, 1);
  EXPECT_EQ(chains.chains[1][0].request.owner, 1U) << "its chain's";
}

TEST(Chains, OfAnOpenLoopAreOne) {
  const Chains chains = chains_of(small_trace(), Loop::kOpen);
  ASSERT_EQ(chains.chains.size(), 1U);
  EXPECT_EQ(chains.chains[0][2].after_ns, 8);
  EXPECT_EQ(chains.chains[0][2].request.owner, 7U);
  ResampledWorkload workload(chains, 1);
  EXPECT_TRUE(workload.open());
  std::uint64_t last = workload.next(0)->request.sector;
  for (int i = 1; i < 100; ++i) {  // a stretch goes around
    const std::uint64_t sector = workload.next(0)->request.sector;
    EXPECT_EQ(sector, last == 5 ? 6U : last == 6 ? 14U : last == 14 ? 20U : 5U);
    last = sector;
  }
}

}  // namespace
}  // namespace fairlead::sim
