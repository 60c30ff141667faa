// SPDX-License-Identifier: Apache-2.0
// What holds for every scheduler of the table.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "disk/linear_model.h"
#include "disk/testing_disk.h"

namespace fairlead::disk {
namespace {

using testing::HasSubstr;

constexpr SchedulerShape kShape{.slots = 512, .owners = 16};

std::unique_ptr<Scheduler> made(std::string_view spec) {
  auto scheduler = make_scheduler(spec, kShape);
  if (!scheduler) throw std::runtime_error(scheduler.error().message());
  return *std::move(scheduler);
}

// Some at once, some alone, many of them adjacent.
std::vector<Arrival> random_arrivals(base::Random& random, std::uint32_t count) {
  std::vector<Arrival> arrivals;
  std::int64_t now = 0;
  std::uint64_t last = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (random.below(3) == 0) now += static_cast<std::int64_t>(random.below(20 * kMs));
    const std::uint64_t sector = random.below(2) == 0 ? last : random.below(1'000'000) * 8;
    arrivals.push_back({now,
                        {.sector = sector,
                         .sector_count = 8,
                         .op = random.below(4) == 0 ? IoOp::kWrite : IoOp::kRead,
                         .owner = static_cast<std::uint32_t>(random.below(kShape.owners))}});
    last = sector + 8;
  }
  return arrivals;
}

std::vector<Served> serve(std::string_view spec, const std::vector<Arrival>& arrivals,
                          const DiskQueueing& queueing = {}, Slot first_slot = 0) {
  const auto scheduler = made(spec);
  LinearModel model({.sectors = 8'000'008});
  DiskDriver driver(*scheduler, model, kShape, queueing, first_slot);
  const auto served = driver.serve(arrivals);
  EXPECT_EQ(scheduler->waiting(), 0U);
  return served;
}

class EveryScheduler : public testing::TestWithParam<const char*> {};

TEST_P(EveryScheduler, ServesEachRequestOnce) {
  EXPECT_TRUE(rc::check([&] {
    base::Random random(*rc::gen::arbitrary<std::uint64_t>());
    const auto count = *rc::gen::inRange(1U, 300U);
    const DiskQueueing queueing{.depth = *rc::gen::inRange(1U, 5U),
                                .tick_ns = *rc::gen::element(0, 4 * kMs)};
    const auto arrivals = random_arrivals(random, count);
    std::set<std::uint32_t> seen;
    for (const Served& one : serve(GetParam(), arrivals, queueing)) {
      RC_ASSERT(seen.insert(one.number).second);
      RC_ASSERT(one.dispatched_ns >= arrivals[one.number].time_ns);
      RC_ASSERT(one.ended_ns > one.dispatched_ns);
    }
    RC_ASSERT(seen.size() == count);
  }));
}

TEST_P(EveryScheduler, DoesNotDependOnSlotsAndGivesTheSameAgain) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    base::Random random(seed);
    const auto arrivals = random_arrivals(random, 200);
    const auto once = serve(GetParam(), arrivals);
    EXPECT_EQ(once, serve(GetParam(), arrivals));
    EXPECT_EQ(once, serve(GetParam(), arrivals, {}, 177));
  }
}

TEST_P(EveryScheduler, IsNeverIdleForLongWhileSomethingWaits) {
  base::Random random(7);
  const auto arrivals = random_arrivals(random, 300);
  std::int64_t last = 0;
  for (const Served& one : serve(GetParam(), arrivals)) {
    const std::int64_t could = std::max(last, arrivals[one.number].time_ns);
    EXPECT_LE(one.dispatched_ns - could, 250 * kMs) << "request " << one.number;
    last = one.ended_ns;
  }
}

std::vector<const char*> names() {
  std::vector<const char*> all;
  for (const SchedulerKind& kind : scheduler_kinds()) all.push_back(kind.name);
  return all;
}

std::string test_name(const testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Schedulers, EveryScheduler, testing::ValuesIn(names()), test_name);

// One read far away, while others keep on coming near the head, a little faster than it serves
// them.
std::int64_t wait_of_the_far_one(std::string_view spec) {
  std::vector<Arrival> arrivals;
  base::Random random(5);
  arrivals.push_back({0, {.sector = 0, .sector_count = 8}});
  arrivals.push_back({kMs, {.sector = 7'000'000, .sector_count = 8}});
  for (std::int64_t now = kMs; now < 3000 * kMs; now += 20 * kMs) {
    for (int i = 0; i < 11; ++i) {
      arrivals.push_back({now, {.sector = random.below(100'000), .sector_count = 8}});
    }
  }
  for (const Served& one : serve(spec, arrivals)) {
    if (one.number == 1) return one.dispatched_ns - arrivals[1].time_ns;
  }
  return INT64_MAX;
}

TEST(Starvation, ThoseThatPromiseABoundKeepIt) {
  for (const char* const spec : {"noop", "cscan", "deadline", "mq-deadline"}) {
    EXPECT_LT(wait_of_the_far_one(spec), 700 * kMs) << spec;
  }
  EXPECT_LT(wait_of_the_far_one("cats-aged"), 1000 * kMs);
}

TEST(Starvation, TheNearestFirstStarvesWhatIsFar) {
  EXPECT_GT(wait_of_the_far_one("satf"), 2000 * kMs);
}

TEST(SchedulerTable, SaysWhatThereIs) {
  const auto unknown = make_scheduler("elevator", kShape);
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message(), HasSubstr("no scheduler 'elevator'; there is noop, "));
  const auto parameter = make_scheduler("deadline:batch=3", kShape);
  ASSERT_FALSE(parameter);
  EXPECT_THAT(parameter.error().message(),
              HasSubstr("deadline: no parameter 'batch'; there is read_expire, "));
  for (const char* const wrong : {"deadline:fifo_batch", "deadline:fifo_batch=0",
                                  "deadline:fifo_batch=x", "deadline:read_expire=soon"}) {
    EXPECT_FALSE(check_scheduler(wrong)) << wrong;
  }
  EXPECT_TRUE(check_scheduler("deadline:fifo_batch=1,read_expire=50ms"));
}

TEST(Deadline, ABatchGoesUpwardsThenTheOldestIsServed) {
  std::vector<Arrival> arrivals{{0, {.sector = 800, .sector_count = 8}}};
  for (const std::uint64_t sector : {5000U, 100U, 900U, 9000U, 200U}) {
    arrivals.push_back({1, {.sector = sector, .sector_count = 8}});
  }
  std::vector<std::uint64_t> order;
  for (const Served& one : serve("deadline", arrivals)) {
    order.push_back(arrivals[one.number].request.sector);
  }
  // Nothing waited above the first; 5000 is the oldest, then up; 100 is, then up.
  EXPECT_THAT(order, testing::ElementsAre(800, 5000, 9000, 100, 200, 900));
}

TEST(Deadline, ReadsGoFirstButWritesDoNotStarve) {
  std::vector<Arrival> arrivals{{0, {.sector = 0, .sector_count = 8, .op = IoOp::kWrite}},
                                {0, {.sector = 800, .sector_count = 8, .op = IoOp::kWrite}}};
  for (std::uint64_t i = 1; i < 10; ++i) {
    arrivals.push_back({1, {.sector = i * 8000, .sector_count = 8}});
  }
  std::string kinds;
  for (const Served& one : serve("deadline:fifo_batch=1", arrivals)) {
    kinds += arrivals[one.number].request.op == IoOp::kRead ? 'r' : 'w';
  }
  EXPECT_EQ(kinds, "wrrwrrrrrrr");
}

TEST(Deadline, WhoIsOverdueBeginsTheNextBatch) {
  std::vector<Arrival> arrivals{{0, {.sector = 800, .sector_count = 8}}};
  for (const std::uint64_t sector : {100U, 5000U, 900U}) {
    arrivals.push_back({1, {.sector = sector, .sector_count = 8}});
  }
  const auto order = [&](const char* spec) {
    std::vector<std::uint64_t> sectors;
    for (const Served& one : serve(spec, arrivals)) {
      sectors.push_back(arrivals[one.number].request.sector);
    }
    return sectors;
  };
  EXPECT_THAT(order("deadline:fifo_batch=1"), testing::ElementsAre(800, 100, 900, 5000));
  EXPECT_THAT(order("deadline:fifo_batch=1,read_expire=1ms"),
              testing::ElementsAre(800, 100, 5000, 900));
  EXPECT_THAT(order("mq-deadline:fifo_batch=1"), testing::ElementsAre(800, 900, 5000, 100));
  EXPECT_THAT(order("mq-deadline:fifo_batch=1,read_expire=1ms"),
              testing::ElementsAre(800, 100, 5000, 900));
}

TEST(Deadline, WhatIsNextMayBecomePartOfAnOlderOne) {
  const auto scheduler = made("deadline");
  Slot slot = 0;
  for (const std::uint64_t sector : {0U, 916U, 900U}) {
    scheduler->arrived(slot++, {.sector = sector, .sector_count = 8}, 0);
  }
  EXPECT_EQ(scheduler->next(0).transfer.sector, 0U);
  scheduler->arrived(slot, {.sector = 908, .sector_count = 8}, 1);
  EXPECT_THAT(scheduler->next(1).transfer.slots, testing::ElementsAre(2, 3, 1));
}

// A read that the scheduler sends at once; the time after it.
std::int64_t served_alone(Scheduler& scheduler, std::uint64_t sector, std::int64_t now_ns,
                          std::uint32_t owner = 0) {
  scheduler.arrived(0, {.sector = sector, .sector_count = 8, .owner = owner}, now_ns);
  const Decision decision = scheduler.next(now_ns);
  EXPECT_EQ(decision.kind, Decision::Kind::kDispatch);
  Transfer transfer = decision.transfer;
  transfer.slots = {};
  scheduler.completed(transfer, now_ns + 2 * kMs);
  return now_ns + 2 * kMs;
}

TEST(Cats, APredictedHitGoesFirst) {
  // The disk has read ahead up to 4,000,072; below lies something nearer.
  const std::vector<Arrival> arrivals{{0, {.sector = 4'000'000, .sector_count = 8}},
                                      {1, {.sector = 3'999'980, .sector_count = 8, .owner = 1}},
                                      {2, {.sector = 4'000'060, .sector_count = 8, .owner = 2}}};
  EXPECT_EQ(serve("cats", arrivals)[1].number, 2U);
  EXPECT_EQ(serve("cats:segments=0", arrivals)[1].number, 1U);
}

TEST(Cats, AHitDoesNotMoveTheHead) {
  const auto scheduler = made("cats");
  std::int64_t now = served_alone(*scheduler, 1'000'000, 0);
  now = served_alone(*scheduler, 4'000'000, now + 10 * kMs);
  now = served_alone(*scheduler, 1'000'040, now + 10 * kMs);
  scheduler->arrived(1, {.sector = 1'100'000, .sector_count = 8, .owner = 1}, now);
  scheduler->arrived(2, {.sector = 4'100'000, .sector_count = 8, .owner = 2}, now);
  EXPECT_EQ(scheduler->next(now).transfer.sector, 4'100'000U);
}

TEST(Cats, WaitsForAReaderThatIsBackSoonAndOnlyForSuch) {
  const auto waits = [](std::int64_t think_ns) {
    const auto scheduler = made("cats");
    std::int64_t now = 0;
    for (std::uint64_t i = 0; i < 8; ++i) {
      now = served_alone(*scheduler, 8'000 + 8 * i, now + think_ns, 3);
    }
    scheduler->arrived(1, {.sector = 7'000'000, .sector_count = 8, .owner = 4}, now);
    const Decision first = scheduler->next(now);
    if (first.kind != Decision::Kind::kWait) return false;
    EXPECT_EQ(first.until_ns, now + 5 * kMs);
    EXPECT_EQ(scheduler->next(now + 5 * kMs).kind, Decision::Kind::kDispatch) << "and no longer";
    return true;
  };
  EXPECT_TRUE(waits(1 * kMs));
  EXPECT_FALSE(waits(6 * kMs));
}

TEST(Cats, WritesComeInBurstsWhenTheyHaveWaited) {
  std::vector<Arrival> arrivals;
  for (std::uint64_t i = 0; i < 4; ++i) {
    arrivals.push_back({0, {.sector = i * 8000, .sector_count = 8, .op = IoOp::kWrite}});
  }
  const auto served = serve("cats", arrivals);
  EXPECT_EQ(served[0].dispatched_ns, 100 * kMs) << "min_write_delay";
  EXPECT_LT(served[3].dispatched_ns, 120 * kMs) << "the others with it";
}

}  // namespace
}  // namespace fairlead::disk
