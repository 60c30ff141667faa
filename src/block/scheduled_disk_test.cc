// SPDX-License-Identifier: Apache-2.0
#include "block/scheduled_disk.h"

#include <set>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "block/service_stats.h"
#include "block/testing_service.h"
#include "disk/scheduler_table.h"

namespace fairlead::block {
namespace {

using testing::ElementsAre;

constexpr std::int64_t kTick = 100'000;

std::unique_ptr<ScheduledDisk> scheduled(const std::string& scheduler, std::uint32_t depth = 1,
                                         std::uint32_t slots = 16) {
  auto made = ScheduledDisk::open(
      {.scheduler = scheduler, .shape = {.slots = slots, .owners = 16}, .depth = depth});
  EXPECT_TRUE(made);
  return *std::move(made);
}

// What was started, and answered.
struct Seen {
  explicit Seen(ScheduledDisk& looked_at) : disk(looked_at) {}
  void look() {
    disk.take_started([&](disk::Slot slot, const disk::IoRequest& request) {
      started.push_back(request.sector);
      reading.push_back(slot);
    });
    disk.take_answers([&](const DiskStage::Ask& ask, bool good) {
      answered.push_back(ask.tag);
      failed += good ? 0 : 1;
    });
  }
  void read_all(std::int64_t now_ns) {
    for (look(); !reading.empty(); look()) {
      const disk::Slot slot = reading.front();
      reading.erase(reading.begin());
      disk.data_came(slot, true, now_ns);
    }
  }

  ScheduledDisk& disk;
  std::vector<std::uint64_t> started;
  std::vector<disk::Slot> reading;
  std::vector<std::uint32_t> answered;
  int failed = 0;
};

TEST(ScheduledDisk, ReadsInItsSchedulersOrder) {
  const auto disk = scheduled("cscan");
  Seen seen(*disk);
  std::uint32_t tag = 0;
  for (const std::uint64_t sector : {500U, 900U, 100U, 700U}) {
    disk->arrive({.client = 0, .tag = tag++}, sector, 8, 1, kTick);
  }
  seen.read_all(2 * kTick);
  EXPECT_THAT(seen.started, ElementsAre(500, 700, 900, 100));
  EXPECT_THAT(seen.answered, ElementsAre(0, 3, 1, 2));
}

TEST(ScheduledDisk, TakesSoManyTransfersAtOnce) {
  const auto disk = scheduled("noop", 2);
  Seen seen(*disk);
  for (std::uint32_t i = 0; i < 5; ++i) disk->arrive({0, i}, i * 1000, 8, 1, kTick);
  seen.look();
  EXPECT_THAT(seen.started, ElementsAre(0, 1000));
  disk->data_came(seen.reading[1], true, 2 * kTick);
  seen.look();
  EXPECT_THAT(seen.started, ElementsAre(0, 1000, 2000));
  EXPECT_THAT(seen.answered, ElementsAre(1));
}

TEST(ScheduledDisk, ATransferHasEndedWhenAllOfItHas) {
  const auto disk = scheduled("noop");
  Seen seen(*disk);
  disk->arrive({0, 0}, 0, 8, 1, kTick);
  for (const std::uint32_t i : {1U, 2U, 3U}) disk->arrive({0, i}, 1000 + 8 * i, 8, 1, kTick);
  disk->arrive({0, 4}, 5000, 8, 1, kTick);
  seen.look();
  disk->data_came(seen.reading[0], true, 2 * kTick);
  seen.look();
  EXPECT_THAT(seen.started, ElementsAre(0, 1008, 1016, 1024)) << "merged, and read together";
  disk->data_came(seen.reading[1], true, 3 * kTick);
  disk->data_came(seen.reading[3], false, 3 * kTick);
  seen.look();
  EXPECT_EQ(seen.started.size(), 4U);
  EXPECT_EQ(seen.failed, 1);
  disk->data_came(seen.reading[2], true, 4 * kTick);
  seen.look();
  EXPECT_EQ(seen.started.back(), 5000U);
  ServiceStats stats;
  disk->tell(stats);
  EXPECT_EQ(stats.scheduled->requests, 5U);
  EXPECT_EQ(stats.scheduled->transfers, 3U);
}

// The anticipatory scheduler would rather wait for the last reader.
TEST(ScheduledDisk, ASchedulerThatWaitsIsAskedAgain) {
  const auto disk = scheduled("anticipatory");
  Seen seen(*disk);
  std::int64_t now_ns = kTick;
  for (std::uint32_t i = 0; i < 20; ++i) {  // one that reads on at once
    disk->arrive({0, i}, 8 * i, 8, 1, now_ns);
    seen.read_all(now_ns += kTick);
  }
  disk->arrive({0, 100}, 100'000, 8, 2, now_ns);
  seen.look();
  ASSERT_NE(disk->next_ns(), DiskStage::kNever);
  EXPECT_NE(seen.started.back(), 100'000U);
  disk->advance(disk->next_ns() - 1);
  seen.look();
  EXPECT_NE(seen.started.back(), 100'000U);
  disk->advance(disk->next_ns());
  seen.look();
  EXPECT_EQ(seen.started.back(), 100'000U);
  EXPECT_EQ(disk->next_ns(), DiskStage::kNever);
}

// Whatever the order, each request is read once and answered once, and slots come back.
TEST(ScheduledDisk, LosesNothingWithAnyScheduler) {
  for (const disk::SchedulerKind& kind : disk::scheduler_kinds()) {
    SCOPED_TRACE(kind.name);
    const auto disk = scheduled(kind.name, 3);
    Seen seen(*disk);
    base::Random random(1);
    std::uint32_t asked = 0;
    for (std::int64_t now_ns = kTick; seen.answered.size() < 2000; now_ns += kTick) {
      disk->advance(now_ns);
      while (asked < 2000 && disk->has_room() && random.below(3) != 0) {
        disk->arrive({0, asked++}, 8 * random.below(1000), 8,
                     static_cast<std::uint32_t>(random.below(4)), now_ns);
      }
      seen.look();
      while (!seen.reading.empty() && random.below(2) == 0) {
        const std::size_t which = random.below(seen.reading.size());
        disk->data_came(seen.reading[which], true, now_ns);
        seen.reading.erase(seen.reading.begin() + static_cast<std::ptrdiff_t>(which));
      }
      seen.look();
      ASSERT_LT(now_ns, 100'000 * kTick) << seen.answered.size();
    }
    EXPECT_EQ(std::set(seen.answered.begin(), seen.answered.end()).size(), 2000U);
  }
}

TEST(ScheduledDisk, AnUnknownSchedulerIsRefused) {
  EXPECT_FALSE(ScheduledDisk::open({.scheduler = "elevator"}));
}

TEST(ScheduledDisk, AWholeServiceGivesTheRightBytes) {
  const TestFolder folder;
  const std::string image = make_test_image(folder / "image", 4096);
  for (const char* scheduler : {"noop", "cats", "cfq"}) {
    SCOPED_TRACE(scheduler);
    ServiceLimits limits = TestService::limits();
    limits.scheduled = {.scheduler = scheduler, .shape = {.slots = 8, .owners = 64}, .depth = 2};
    const TestService service(image, limits);
    const auto client = service.client();
    std::vector<std::thread> threads;
    for (std::uint64_t thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        base::Random random(thread + 1);
        for (int i = 0; i < 200; ++i) {
          const std::uint64_t sector = random.below(4096);
          std::byte bytes[512];
          ASSERT_EQ(client->read(sector, bytes), ReadStatus::kOk);
          ASSERT_TRUE(holds_sectors(bytes, sector, 1));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    const auto told = nlohmann::json::parse(service.status())["scheduled"];
    EXPECT_EQ(told["scheduler"], scheduler);
    EXPECT_EQ(told["depth"], 2);
    EXPECT_GT(told["requests"], 0);
  }
}

}  // namespace
}  // namespace fairlead::block
