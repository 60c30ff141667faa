// SPDX-License-Identifier: Apache-2.0
#include "sim/page_cache.h"

#include <map>
#include <memory>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead::sim {
namespace {

using testing::ElementsAre;
using testing::Pair;

constexpr std::uint32_t kPage = 8;
constexpr std::int64_t kThinkNs = 1'000;

// Each process reads the pages that it is told, one after the other, and then nothing.
class ToldWorkload final : public DiskWorkload {
 public:
  struct Told {
    std::uint64_t page;
    std::uint64_t left = 1;  // pages, with this one
    disk::IoOp op = disk::IoOp::kRead;
  };
  explicit ToldWorkload(std::vector<std::vector<Told>> told)
      : told_(std::move(told)), at_(told_.size()) {}
  std::uint32_t processes() const noexcept override {
    return static_cast<std::uint32_t>(told_.size());
  }
  std::optional<DiskAsk> next(std::uint32_t process) override {
    if (at_[process] == told_[process].size()) return {};
    const Told one = told_[process][at_[process]++];
    return DiskAsk{.after_ns = kThinkNs,
                   .request = {.sector = one.page * kPage,
                               .sector_count = kPage,
                               .op = one.op,
                               .owner = process},
                   .left_sectors = one.left * kPage};
  }

 private:
  std::vector<std::vector<Told>> told_;
  std::vector<std::size_t> at_;
};

using Told = ToldWorkload::Told;

std::vector<Told> file(std::uint64_t begin, std::uint64_t pages) {
  std::vector<Told> all;
  for (std::uint64_t i = 0; i < pages; ++i) all.push_back({begin + i, pages - i});
  return all;
}

CachedWorkload cached(std::vector<std::vector<Told>> told, const PageCacheShape& shape) {
  return {std::make_unique<ToldWorkload>(std::move(told)), shape};
}

// What process `process` asks of the disk: page and pages, to its end.
std::vector<std::pair<std::uint64_t, std::uint64_t>> asked(CachedWorkload& workload,
                                                           std::uint32_t process = 0) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
  while (const auto ask = workload.next(process)) {
    all.emplace_back(ask->request.sector / kPage, ask->request.sector_count / kPage);
  }
  return all;
}

TEST(CachedWorkload, ReadsAheadTwiceAsFarEachTimeToTheFilesEnd) {
  auto workload = cached({file(100, 50)}, {.pages = 1000, .first_pages = 4, .most_pages = 16});
  EXPECT_THAT(asked(workload),
              ElementsAre(Pair(100, 4), Pair(104, 8), Pair(112, 16), Pair(128, 16), Pair(144, 6)));
}

TEST(CachedWorkload, BeginsAnewElsewhere) {
  std::vector<Told> two = file(100, 12);
  for (const Told& one : file(500, 5)) two.push_back(one);
  auto workload = cached({two}, {.pages = 1000});
  EXPECT_THAT(asked(workload), ElementsAre(Pair(100, 4), Pair(104, 8), Pair(500, 4), Pair(504, 1)));
}

TEST(CachedWorkload, NeverReadsMoreThanItsMost) {
  auto workload = cached({file(0, 4)}, {.pages = 100, .first_pages = 4, .most_pages = 1});
  EXPECT_THAT(asked(workload), ElementsAre(Pair(0, 1), Pair(1, 1), Pair(2, 1), Pair(3, 1)));
}

TEST(CachedWorkload, WhatOneHasReadIsThereForAll) {
  auto workload = cached({file(100, 6), file(98, 8)}, {.pages = 1000});
  EXPECT_THAT(asked(workload, 0), ElementsAre(Pair(100, 4), Pair(104, 2)));
  EXPECT_THAT(asked(workload, 1), ElementsAre(Pair(98, 2))) << "up to what is held";
}

TEST(CachedWorkload, ThePagesUsedLongestAgoLeave) {
  // 1 is used again before 4 comes, so 2 leaves.
  auto workload = cached({{{1}, {2}, {3}, {1}, {4}, {1}, {2}}}, {.pages = 3, .first_pages = 1});
  EXPECT_THAT(asked(workload),
              ElementsAre(Pair(1, 1), Pair(2, 1), Pair(3, 1), Pair(4, 1), Pair(2, 1)));
}

TEST(CachedWorkload, SleepsOverWhatItFinds) {
  auto workload = cached({file(0, 5)}, {.pages = 100});
  EXPECT_EQ(workload.next(0)->after_ns, kThinkNs);
  EXPECT_EQ(workload.next(0)->after_ns, 4 * kThinkNs) << "three pages were there";
}

TEST(CachedWorkload, WritesGoThrough) {
  auto workload = cached({{{7}, {7, 1, disk::IoOp::kWrite}, {7}}}, {.pages = 100});
  EXPECT_THAT(asked(workload), ElementsAre(Pair(7, 1), Pair(7, 1)));
}

TEST(CachedWorkload, AProcessThatFindsEverythingAsksNoMore) {
  StudyShape shape{.processes = 1, .files = 3, .size_log_sigma = 0};
  CachedWorkload workload(std::make_unique<StudyWorkload>(shape), {.pages = 100});
  std::map<std::uint64_t, int> times;
  while (const auto ask = workload.next(0)) ++times[ask->request.sector];
  EXPECT_GE(times.size(), 3U);
  for (const auto& [sector, count] : times) EXPECT_EQ(count, 1) << sector;
}

TEST(StudyWorkload, SaysHowMuchOfAFileIsLeft) {
  StudyWorkload workload({.processes = 1, .files = 1, .size_log_mean = 10, .size_log_sigma = 0});
  for (std::uint64_t pages = 6; pages > 0; --pages) {  // e^10 bytes
    EXPECT_EQ(workload.next(0)->left_sectors, pages * kPage);
  }
  EXPECT_EQ(workload.next(0)->left_sectors, 6 * kPage);
}

}  // namespace
}  // namespace fairlead::sim
