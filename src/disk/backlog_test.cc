// SPDX-License-Identifier: Apache-2.0
#include "disk/backlog.h"

#include <algorithm>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace fairlead::disk {
namespace {

using testing::ElementsAre;

IoRequest read(std::uint64_t sector, std::uint32_t count = 8) {
  return {.sector = sector, .sector_count = count, .op = IoOp::kRead};
}

std::vector<std::uint64_t> sectors(const Backlog& backlog) {
  std::vector<std::uint64_t> all;
  for (std::uint32_t i = 0; i < backlog.size(); ++i) all.push_back(backlog.sector(backlog.at(i)));
  return all;
}

TEST(Backlog, KnowsBothOrders) {
  Backlog backlog({.slots = 4});
  backlog.add(2, read(40), 1);
  backlog.add(0, read(90), 2);
  backlog.add(1, read(17), 3);
  EXPECT_THAT(sectors(backlog), ElementsAre(17, 40, 90));
  EXPECT_EQ(backlog.oldest(), 2U);
  EXPECT_EQ(backlog.upwards_from(41), 0U);
  EXPECT_EQ(backlog.upwards_from(91), 1U) << "from the lowest again";
  EXPECT_EQ(backlog.nearest(65), 0U) << "the higher one of two";
  EXPECT_EQ(backlog.nearest(64), 2U);
  backlog.take(2);
  EXPECT_EQ(backlog.oldest(), 0U);
}

TEST(Backlog, WhatContinuesARequestBecomesPartOfTheOlder) {
  Backlog backlog({.slots = 4});
  EXPECT_EQ(backlog.add(0, read(100), 1), 0U);
  EXPECT_EQ(backlog.add(1, read(108), 2), 0U);
  EXPECT_EQ(backlog.add(2, read(92), 3), 0U);
  EXPECT_EQ(backlog.size(), 1U);
  EXPECT_EQ(backlog.requests(), 3U);
  EXPECT_EQ(backlog.whole_of(2), 0U);
  const Transfer transfer = backlog.take(0);
  EXPECT_EQ(transfer.sector, 92U);
  EXPECT_EQ(transfer.sector_count, 24U);
  EXPECT_THAT(transfer.slots, ElementsAre(2, 0, 1));
  EXPECT_EQ(backlog.requests(), 0U);
}

TEST(Backlog, WhatFillsAGapJoinsBothSides) {
  Backlog backlog({.slots = 4});
  backlog.add(3, read(108), 1);
  backlog.add(1, read(92), 2);
  backlog.add(2, read(50), 3);
  EXPECT_EQ(backlog.add(0, read(100), 4), 3U) << "the oldest of the three";
  EXPECT_EQ(backlog.oldest(), 3U);
  EXPECT_THAT(backlog.take(3).slots, ElementsAre(1, 0, 3));
  EXPECT_EQ(backlog.oldest(), 2U);
}

TEST(Backlog, TransfersHaveALimitAndAKind) {
  Backlog backlog({.slots = 4, .merge_sectors = 16});
  backlog.add(0, read(100), 1);
  EXPECT_EQ(backlog.add(1, read(108), 2), 0U);
  EXPECT_EQ(backlog.add(2, read(116), 3), 2U) << "17 sectors and more";
  IoRequest write = read(124);
  write.op = IoOp::kWrite;
  EXPECT_EQ(backlog.add(3, write, 4), 3U);
}

// Against the plainest list of requests that there can be.
TEST(Backlog, HoldsEachRequestOnceWhateverIsMerged) {
  base::Random random(1);
  for (int round = 0; round < 200; ++round) {
    Backlog backlog({.slots = 64, .merge_sectors = 64});
    std::vector<std::optional<IoRequest>> held(64);
    for (int step = 0; step < 300; ++step) {
      const auto slot = static_cast<Slot>(random.below(64));
      if (!held[slot]) {
        held[slot] = read(random.below(40) * 8);
        const Slot whole = backlog.add(slot, *held[slot], step);
        ASSERT_TRUE(backlog.holds(whole));
        ASSERT_EQ(backlog.whole_of(slot), whole);
        continue;
      }
      const Transfer transfer = backlog.take(backlog.whole_of(slot));
      std::uint64_t at = transfer.sector;
      bool seen = false;
      for (const Slot one : transfer.slots) {
        ASSERT_TRUE(held[one]);
        ASSERT_EQ(held[one]->sector, at);
        at += held[one]->sector_count;
        held[one].reset();
        seen = seen || one == slot;
      }
      ASSERT_TRUE(seen || transfer.slots.empty());
      ASSERT_EQ(at, transfer.end());
      ASSERT_LE(transfer.sector_count, 64U);
      const auto all = sectors(backlog);
      ASSERT_TRUE(std::ranges::is_sorted(all));
    }
    const auto left = std::ranges::count_if(held, [](const auto& one) { return one.has_value(); });
    ASSERT_EQ(backlog.requests(), static_cast<std::uint32_t>(left));
  }
}

}  // namespace
}  // namespace fairlead::disk
