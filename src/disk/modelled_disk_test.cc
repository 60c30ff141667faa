// SPDX-License-Identifier: Apache-2.0
#include "disk/modelled_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "disk/plain_schedulers.h"
#include "disk/testing_disk.h"

namespace fairlead::disk {
namespace {

using testing::ElementsAre;

constexpr SchedulerShape kSmall{.slots = 8, .owners = 8};

// Two requests at 0 and one at 1 ms; when they were dispatched and when they ended.
std::vector<Served> three(Scheduler& scheduler, const DiskQueueing& queueing, RateShape shape) {
  RateModel model(shape);
  DiskDriver driver(scheduler, model, kSmall, queueing);
  return driver.serve({{0, {.sector = 0, .sector_count = 8}},
                       {0, {.sector = 800, .sector_count = 8}},
                       {kMs, {.sector = 1600, .sector_count = 8}}});
}

TEST(ModelledDisk, OneTransferAtATime) {
  for (const std::uint32_t depth : {1U, 2U}) {
    NoopScheduler scheduler(kSmall, Parameters({}));
    const auto served = three(scheduler, {.depth = depth}, {.bytes_per_second = 409'600});  // 10 ms
    const std::int64_t second = depth == 1 ? 10 * kMs : 0;
    const std::int64_t third = depth == 1 ? 20 * kMs : 10 * kMs;
    EXPECT_THAT(served, ElementsAre(Served{0, 0, 10 * kMs}, Served{1, second, 20 * kMs},
                                    Served{2, third, 30 * kMs}));
  }
}

TEST(ModelledDisk, WhatTakesLongerEndsLater) {
  // The disk is free after 1 ms; a read takes 50 ms, a write 5.
  NoopScheduler scheduler(kSmall, Parameters({}));
  RateModel model({.read_ns = 50 * kMs, .write_ns = 5 * kMs, .transfers_per_second = 1000});
  DiskDriver driver(scheduler, model, kSmall, {.depth = 4});
  const auto served = driver.serve({{0, {.sector = 0, .sector_count = 8}},
                                    {0, {.sector = 80, .sector_count = 8, .op = IoOp::kWrite}}});
  EXPECT_THAT(served, ElementsAre(Served{1, 0, 6 * kMs}, Served{0, 0, 50 * kMs}));
}

// Waits for 8 ms of its clock before each dispatch.
class Hesitant final : public Scheduler {
 public:
  Hesitant() : backlog_(kSmall) {}
  void arrived(Slot slot, const IoRequest& request, std::int64_t now_ns) override {
    backlog_.add(slot, request, now_ns);
  }
  Decision next(std::int64_t now_ns) override {
    if (backlog_.empty()) return {};
    const std::int64_t until = backlog_.arrived_ns(backlog_.oldest()) + 8 * kMs;
    if (now_ns < until) return Decision::wait(until);
    return Decision::dispatch(backlog_.take(backlog_.oldest()));
  }
  std::uint32_t waiting() const noexcept override { return backlog_.requests(); }

 private:
  Backlog backlog_;
};

std::int64_t wait_of_the_last(const DiskQueueing& queueing) {
  Hesitant scheduler;
  return three(scheduler, queueing, {.read_ns = 1}).back().dispatched_ns - kMs;
}

TEST(ModelledDisk, AsksAgainWhenTheSchedulerSaid) { EXPECT_EQ(wait_of_the_last({}), 8 * kMs); }

TEST(ModelledDisk, ASchedulersClockMayCountTicks) {
  // It arrived at 1 ms, which is tick 0; 8 ms later is a tick of its own.
  EXPECT_EQ(wait_of_the_last({.depth = 3, .tick_ns = 4 * kMs}), 7 * kMs);
  EXPECT_EQ(wait_of_the_last({.depth = 3, .tick_ns = 3 * kMs}), 8 * kMs)
      << "up to the next tick, 9 ms";
}

// Takes a millisecond, and remembers when it was asked.
class Remembering final : public DiskModel {
 public:
  std::uint64_t sectors() const noexcept override { return 1 << 20; }
  Access access(const Transfer&, std::int64_t begin_ns) override {
    begun_ns.push_back(begin_ns);
    return {.free_ns = begin_ns + kMs, .end_ns = begin_ns + kMs};
  }
  std::vector<std::int64_t> begun_ns;
};

TEST(ModelledDisk, TheModelKnowsNothingOfWhatCameOnTop) {
  NoopScheduler scheduler(kSmall, Parameters({}));
  Remembering model;
  DiskDriver driver(scheduler, model, kSmall, {.depth = 2, .extra_ns = kMs / 2});
  const auto served = driver.serve({{0, {.sector = 0, .sector_count = 8}},
                                    {0, {.sector = 800, .sector_count = 8}},
                                    {9 * kMs, {.sector = 1600, .sector_count = 8}}});
  EXPECT_THAT(served, ElementsAre(Served{0, 0, 3 * kMs / 2}, Served{1, 0, 3 * kMs},
                                  Served{2, 9 * kMs, 21 * kMs / 2}));
  EXPECT_THAT(model.begun_ns, ElementsAre(0, kMs, 8 * kMs));
}

TEST(ModelledDisk, ASchedulersClockMayRunTooFast) {
  EXPECT_EQ(wait_of_the_last({.clock_scale = 8}), kMs);
  EXPECT_EQ(wait_of_the_last({.tick_ns = 4 * kMs, .clock_scale = 8}), kMs);
}

}  // namespace
}  // namespace fairlead::disk
