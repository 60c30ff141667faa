// SPDX-License-Identifier: Apache-2.0
#include "block/slot_pool.h"

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace fairlead::block {
namespace {

TEST(SlotPool, GivesEachNumberOnceUntilItComesBack) {
  for (const std::uint32_t count : {1U, 2U, 63U, 64U, 65U, 200U}) {
    SlotPool pool(count);
    std::set<std::uint32_t> taken;
    for (std::uint32_t i = 0; i < count; ++i) taken.insert(pool.take());
    EXPECT_EQ(taken.size(), count);
    EXPECT_EQ(*taken.rbegin(), count - 1);
    pool.give_back(count / 2);
    EXPECT_EQ(pool.take(), count / 2);
  }
}

// Many more callers than numbers: nobody starves, no number is held twice at a time.
TEST(SlotPool, ServesMoreCallersThanItHasNumbers) {
  constexpr std::uint32_t kCount = 3;
  constexpr int kCallers = 24;
  constexpr int kRounds = 2000;
  SlotPool pool(kCount);
  std::atomic<int> holders[kCount]{};
  std::atomic<int> done{0};
  std::atomic<bool> twice{false};
  std::vector<std::thread> callers;
  callers.reserve(kCallers);
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const std::uint32_t slot = pool.take();
        if (holders[slot].fetch_add(1) != 0) twice = true;
        if (round % 64 == 0) std::this_thread::yield();
        holders[slot].fetch_sub(1);
        pool.give_back(slot);
        done.fetch_add(1);
      }
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_FALSE(twice);
  EXPECT_EQ(done, kCallers * kRounds);
}

TEST(SlotPool, WhoWaitsIsWokenByAReturn) {
  SlotPool pool(1);
  const std::uint32_t held = pool.take();
  std::atomic<bool> got{false};
  std::thread waiter([&] {
    pool.give_back(pool.take());
    got = true;
  });
  std::this_thread::yield();
  EXPECT_FALSE(got);
  pool.give_back(held);
  waiter.join();
  EXPECT_TRUE(got);
}

}  // namespace
}  // namespace fairlead::block
