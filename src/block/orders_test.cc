// SPDX-License-Identifier: Apache-2.0
#include "block/orders.h"

#include <poll.h>

#include <thread>

#include <gtest/gtest.h>

#include "block/testing_image.h"

namespace fairlead::block {
namespace {

bool signalled(const Orders& orders) {
  pollfd file{orders.signal_fd(), POLLIN, 0};
  return ::poll(&file, 1, 0) == 1;
}

ServiceStats stats_of(std::uint64_t requests) {
  ServiceStats stats;
  stats.requests = requests;
  return stats;
}

TEST(Orders, AreTakenOnceInTheOrderTheyWereGiven) {
  Orders orders;
  EXPECT_FALSE(orders.waiting());
  EXPECT_FALSE(signalled(orders));
  orders.drop(5);
  orders.drop(3);
  orders.drain();
  EXPECT_TRUE(orders.waiting());
  EXPECT_TRUE(signalled(orders));
  const auto batch = orders.take();
  ASSERT_EQ(batch.moves.size(), 2u);
  EXPECT_EQ(batch.moves[0].client, 5u);
  EXPECT_EQ(batch.moves[1].client, 3u);
  EXPECT_TRUE(batch.drain);
  EXPECT_FALSE(batch.halt);
  EXPECT_FALSE(orders.waiting());
  EXPECT_TRUE(orders.take().moves.empty());
}

TEST(Orders, LookOnlySignals) {
  Orders orders;
  orders.look();
  EXPECT_TRUE(signalled(orders));
  EXPECT_FALSE(orders.waiting());
}

TEST(Orders, StatsAreThoseGivenAfterTheQuestion) {
  Orders orders;
  orders.answer_stats(stats_of(1));  // of an earlier question
  std::thread service([&] {
    while (!orders.waiting()) std::this_thread::yield();
    if (orders.take().wants_stats) orders.answer_stats(stats_of(2));
  });
  EXPECT_EQ(orders.ask_stats().requests, 2u);
  service.join();
}

TEST(Orders, WhoAsksWhileTheServiceEndsGetsTheLastWord) {
  Orders orders;
  std::thread service([&] {
    while (!orders.waiting()) std::this_thread::yield();
    orders.close(stats_of(9));
  });
  EXPECT_EQ(orders.ask_stats().requests, 9u);
  service.join();
}

TEST(Orders, WhoAsksAfterTheEndGetsTheLastWordAtOnce) {
  Orders orders;
  orders.close(stats_of(9));
  EXPECT_EQ(orders.ask_stats().requests, 9u);
  EXPECT_EQ(orders.ask_stats().requests, 9u);
}

TEST(Orders, SeveralMayAskAtOnce) {
  Orders orders;
  std::atomic<bool> over{false};
  std::thread service([&] {
    while (!over) {
      if (orders.waiting() && orders.take().wants_stats) orders.answer_stats(stats_of(4));
    }
  });
  {
    std::vector<std::jthread> askers;
    for (int i = 0; i < 8; ++i) {
      askers.emplace_back([&] {
        for (int round = 0; round < 50; ++round) EXPECT_EQ(orders.ask_stats().requests, 4u);
      });
    }
  }
  over = true;
  service.join();
}

}  // namespace
}  // namespace fairlead::block
