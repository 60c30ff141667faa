// SPDX-License-Identifier: Apache-2.0
#include "disk/drive_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/testing_fit.h"

namespace fairlead::sim {
namespace {

constexpr double kUs = 1e3;

// Of another drive in all that can be fitted.
disk::MechanicalShape another() {
  disk::MechanicalShape shape = platters();
  shape.rotation_ns = 5'500'000;
  shape.seek_one_ns = 300'000;
  shape.seek_average_ns = 3'500'000;
  shape.seek_full_ns = 8'000'000;
  shape.write_settle_ns = 0;
  shape.hit_overhead_ns = 200'000;
  return shape;
}

disk::DriveFit fitted(const disk::RequestTrace& trace, const disk::DriveShape& like) {
  const auto fit = disk::fit_drive(disk::fit_trace(trace, disk::FitQueue::kAlone), like);
  EXPECT_TRUE(fit) << fit.error().message();
  return *fit;
}

TEST(DriveFit, GivesALinearDriveBack) {
  const disk::LinearShape drive{
      .rotation_ns = 6'000'000, .full_stroke_ns = 9'000'000, .hit_ns = 250'000, .sector_ns = 2000};
  for (const double noise : {0.0, 0.1}) {
    RandomWorkload workload({.processes = 8, .onwards = 0.4, .seed = 1});
    const auto trace = simulated_trace(drive, workload, 6000, noise);
    const auto fit = fitted(trace, disk::LinearShape{});
    const auto& found = std::get<disk::LinearShape>(fit.shape);
    // Noise makes times longer; a request has 8 sectors, always.
    const double longer = 1 + noise / 2;
    EXPECT_NEAR(static_cast<double>(found.rotation_ns), 6'032'000 * longer, 1 + noise * 4e5);
    EXPECT_NEAR(static_cast<double>(found.full_stroke_ns), 9e6 * longer, 1 + noise * 8e5);
    EXPECT_NEAR(static_cast<double>(found.hit_ns), 266'000 * longer, 1 + noise * 6e4);
    EXPECT_EQ(found.sector_ns, 0);
    EXPECT_LT(fit.error.demerit, 0.0001 + noise / 5);
    EXPECT_LT(fit.error.relative, 0.0001 + noise);
    EXPECT_NEAR(static_cast<double>(fit.error.count), 2000, 5) << "some were merged";
    EXPECT_NEAR(static_cast<double>(fit.fitted), 4000, 5);
  }
}

TEST(DriveFit, SeesWhatASectorTakesWhereLengthsDiffer) {
  const disk::LinearShape drive{.sector_ns = 3000, .cache = {.segments = 0}};
  RandomWorkload few({.processes = 4, .request_sectors = 8, .seed = 1});
  auto trace = simulated_trace(drive, few, 1000);
  RandomWorkload many({.processes = 4, .request_sectors = 256, .seed = 2});
  const auto later = simulated_trace(drive, many, 1000);
  const std::int64_t after_ns = trace.requests.back().ended_ns + 1'000'000'000;
  for (std::size_t i = 0; i < 1000; ++i) {  // in turns, so that both are fitted to
    auto one = later.requests[i];
    for (std::int64_t* time : {&one.arrived_ns, &one.dispatched_ns, &one.ended_ns}) {
      *time += after_ns;
    }
    trace.requests.push_back(one);
  }
  const auto fit = fitted(trace, disk::LinearShape{});
  const auto& found = std::get<disk::LinearShape>(fit.shape);
  EXPECT_NEAR(found.sector_ns, 3000, 1);
  EXPECT_NEAR(static_cast<double>(found.rotation_ns), 4e6, 100);
  EXPECT_EQ(found.cache.segments, 0U) << "the drive has none";
}

TEST(DriveFit, GivesRatesBack) {
  disk::RateModel drive({.read_ns = 90'000, .write_ns = 40'000, .bytes_per_second = 200e6});
  disk::RequestTrace trace{.name = "made", .requests = {}};
  for (std::uint64_t i = 0; i < 600; ++i) {
    const auto at_ns = static_cast<std::int64_t>(i) * 10'000'000;
    const disk::Transfer one{.sector = i * 999,
                             .sector_count = i % 2 == 0 ? 8U : 200U,
                             .op = i % 3 == 0 ? disk::IoOp::kWrite : disk::IoOp::kRead};
    trace.requests.push_back(
        {.arrived_ns = at_ns,
         .dispatched_ns = at_ns,
         .ended_ns = drive.access(one, at_ns).end_ns + (i % 50 == 7 ? 5'000'000 : 0),
         .sector = one.sector,
         .sector_count = one.sector_count,
         .op = one.op});
  }
  const auto found = std::get<disk::RateShape>(fitted(trace, disk::RateShape{}).shape);
  EXPECT_NEAR(static_cast<double>(found.read_ns), 90'000, 100);
  EXPECT_NEAR(static_cast<double>(found.write_ns), 40'000, 100);
  EXPECT_NEAR(found.bytes_per_second, 200e6, 1e5);
}

// One reader and writer, at times of chance.
RandomWorkload alone_on_platters() {
  return RandomWorkload({.processes = 1,
                         .think_ms = 5,
                         .onwards = 0.3,
                         .writes = 0.3,
                         .sectors = 20'000'000,
                         .seed = 3});
}

TEST(DriveFit, GivesPlattersBack) {
  const auto ns = [](std::int64_t time) { return static_cast<double>(time); };
  for (const double noise : {0.0, 0.01}) {
    RandomWorkload workload = alone_on_platters();
    const auto trace = simulated_trace(platters(), workload, 9'000, noise);
    const auto fit = fitted(trace, another());
    const auto& found = std::get<disk::MechanicalShape>(fit.shape);
    EXPECT_NEAR(ns(found.rotation_ns), 6e6, 2);
    EXPECT_NEAR(ns(found.read_overhead_ns + found.seek_one_ns), 750 * kUs, 100 * kUs);
    EXPECT_NEAR(ns(found.seek_average_ns), 5e6, 60 * kUs);
    EXPECT_NEAR(ns(found.seek_full_ns), 10.5e6, 120 * kUs);
    EXPECT_NEAR(ns(found.write_settle_ns), 400 * kUs, 60 * kUs);
    EXPECT_NEAR(ns(found.hit_overhead_ns), 70 * kUs, 1 * kUs);
    EXPECT_GT(fit.coherence, 0.99);
    EXPECT_LT(fit.error.demerit, 0.01);
    EXPECT_LT(fit.error.relative, 0.01 + noise);
    EXPECT_LT(fit.error.rms_ns, 400 * kUs) << "a rotation missed or made now and then";
  }
}

TEST(DriveFit, ABusyRunTellsTheWholeDrive) {
  // One after the other without a pause: what the drive reads ahead depends on each end.
  StudyWorkload workload({.processes = 64, .files = 300, .sectors = 20'000'000, .seed = 5});
  const auto trace = simulated_trace(platters(), workload, 12'000, 0, 2);
  const auto timed = disk::fit_trace(trace, disk::FitQueue::kInLine);
  const auto fit = disk::fit_drive(timed, another());
  ASSERT_TRUE(fit);
  EXPECT_GT(fit->coherence, 0.99);
  EXPECT_LT(fit->error.demerit, 0.05);
  EXPECT_LT(fit->error.rms_ns, 400 * kUs);
}

TEST(DriveFit, WithoutTheAngleTheTimesAreRightInDistribution) {
  RandomWorkload workload = alone_on_platters();
  const auto trace = simulated_trace(platters(), workload, 5'000);
  disk::MechanicalShape geometry = another();
  geometry.heads = 3;
  geometry.zones = {{9000, 700}, {4000, 400}};
  const auto fit = fitted(trace, geometry);
  const auto& found = std::get<disk::MechanicalShape>(fit.shape);
  EXPECT_LT(fit.coherence, 0.3);
  EXPECT_NEAR(static_cast<double>(found.rotation_ns), 6e6, 300 * kUs);
  EXPECT_LT(fit.error.demerit, 0.05);
  EXPECT_GT(fit.error.relative, 0.1) << "request by request they are not";
}

TEST(DriveFit, ATraceThatTellsTooLittleIsRefused) {
  RandomWorkload workload({.processes = 2, .seed = 1});
  const auto trace = simulated_trace(disk::LinearShape{}, workload, 500, 0, 2);
  const auto crowded = disk::fit_trace(trace, disk::FitQueue::kAlone);
  EXPECT_LE(crowded.counted, 1U);
  const auto refused = disk::fit_drive(crowded, disk::LinearShape{});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), testing::HasSubstr("had others in flight"));
  // In line each is known.
  const auto line = disk::fit_trace(trace, disk::FitQueue::kInLine);
  EXPECT_EQ(line.counted, 500U);
  const auto fit = disk::fit_drive(line, disk::LinearShape{.rotation_ns = 9'000'000});
  ASSERT_TRUE(fit);
  EXPECT_NEAR(static_cast<double>(std::get<disk::LinearShape>(fit->shape).rotation_ns), 4e6, 10);
}

}  // namespace
}  // namespace fairlead::sim
