// SPDX-License-Identifier: Apache-2.0
#include "disk/miss_table.h"

#include <map>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "disk/testing_range.h"

namespace fairlead::disk {
namespace {

std::vector<std::uint32_t> finish(MissTable& table, std::uint32_t slot) {
  std::vector<std::uint32_t> waiters;
  table.finish(slot, [&](std::uint32_t waiter) { waiters.push_back(waiter); });
  return waiters;
}

TEST(MissTable, EqualReadsShareASlotAndAreAnsweredInOrder) {
  MissTable table(4, 16);
  const auto first = table.find_or_start(7, 1);
  ASSERT_TRUE(first && first->started);
  table.join(first->slot, 3);
  const auto second = table.find_or_start(7, 1);
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->started);
  EXPECT_EQ(second->slot, first->slot);
  table.join(second->slot, 1);
  EXPECT_TRUE(table.find_or_start(7, 2)->started) << "another length is another read";
  EXPECT_EQ(finish(table, first->slot), (std::vector<std::uint32_t>{3, 1}));
  EXPECT_TRUE(table.find_or_start(7, 1)->started);
}

TEST(MissTable, FullTableStillJoins) {
  MissTable table(2, 4);
  const auto a = table.find_or_start(1, 1);
  ASSERT_TRUE(a && table.find_or_start(2, 1));
  EXPECT_FALSE(table.find_or_start(3, 1));
  EXPECT_EQ(table.find_or_start(1, 1)->slot, a->slot);
  finish(table, a->slot);
  EXPECT_TRUE(table.find_or_start(3, 1));
}

TEST(MissTable, TheVisitorMayAskAgain) {
  MissTable table(1, 4);
  const auto slot = table.find_or_start(1, 1)->slot;
  for (std::uint32_t w = 0; w < 4; ++w) table.join(slot, w);
  std::vector<std::uint32_t> seen;
  table.finish(slot, [&](std::uint32_t waiter) {
    seen.push_back(waiter);
    table.join(table.find_or_start(2, 1)->slot, waiter);
  });
  EXPECT_EQ(seen, (std::vector<std::uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(finish(table, table.find_or_start(2, 1)->slot), seen);
}

TEST(MissTable, NoReadAfterAWriteJoinsAReadFromBefore) {
  MissTable table(4, 8);
  const auto before = table.find_or_start(8, 8)->slot;
  const auto beside = table.find_or_start(16, 8)->slot;
  table.join(before, 0);
  table.detach(15, 1);
  const auto after = table.find_or_start(8, 8);
  EXPECT_TRUE(after->started);
  EXPECT_NE(after->slot, before);
  EXPECT_EQ(table.find_or_start(16, 8)->slot, beside);
  EXPECT_EQ(finish(table, before), (std::vector<std::uint32_t>{0}));
  EXPECT_EQ(table.find_or_start(8, 8)->slot, after->slot) << "the new read is still findable";
}

// A full table of few buckets: runs wrap around the end, and every erase shifts.
void same_as_multimap() {
  const auto slots = in_range(1u, 33u);
  constexpr std::uint32_t kWaiters = 64;
  MissTable table(slots, kWaiters);
  using Key = std::pair<std::uint64_t, std::uint32_t>;
  std::map<Key, std::uint32_t> in_flight;
  std::multimap<Key, std::uint32_t> waiting;
  std::uint32_t busy = 0;
  const auto steps = in_range(1, 300);
  for (int step = 0; step < steps; ++step) {
    if (in_range(0, 3) > 0) {
      const Key key{in_range(0, 40), in_range(1u, 3u)};
      const auto found = table.find_or_start(key.first, key.second);
      const auto known = in_flight.find(key);
      RC_ASSERT(found.has_value() == (known != in_flight.end() || in_flight.size() < slots));
      if (!found) continue;
      RC_ASSERT(found->started == (known == in_flight.end()));
      if (!found->started) RC_ASSERT(found->slot == known->second);
      if (found->started) {
        for (const auto& [other, slot] : in_flight) RC_ASSERT(slot != found->slot);
        in_flight[key] = found->slot;
      }
      if (busy < kWaiters) {
        table.join(found->slot, busy);
        waiting.emplace(key, busy++);
      }
    } else if (!in_flight.empty()) {
      auto ended = in_flight.begin();
      std::advance(ended, in_range<std::size_t>(0, in_flight.size()));
      std::vector<std::uint32_t> expected;
      const auto [first, last] = waiting.equal_range(ended->first);
      for (auto at = first; at != last; ++at) expected.push_back(at->second);
      RC_ASSERT(finish(table, ended->second) == expected);
      waiting.erase(first, last);
      in_flight.erase(ended);
      if (waiting.empty()) busy = 0;
    }
    RC_ASSERT(table.in_flight() == in_flight.size());
    for (const auto& [key, slot] : in_flight) {
      RC_ASSERT(table.find_or_start(key.first, key.second)->slot == slot);
    }
  }
}

TEST(MissTableModel, SameAsAMultimap) {
  EXPECT_TRUE(rc::check("MissTable joins what a multimap joins", same_as_multimap));
}

}  // namespace
}  // namespace fairlead::disk
