// SPDX-License-Identifier: Apache-2.0
#include "disk/fair_queue.h"

#include <set>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "disk/closed_loop_sim.h"
#include "disk/naive_queue.h"
#include "disk/testing_range.h"

namespace fairlead::disk {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr DepthLimits kNoDepthRule{.min_depth = 256, .max_depth = 256};

template <typename Queue = FairQueue>
SimResult simulate(std::vector<SimClient> clients, SimDevice device = {}, Queue queue = Queue()) {
  return ClosedLoopSim<Queue>(queue, std::move(clients), device).run(kSecond);
}

NaiveQueue faulty(NaiveFaults faults) { return NaiveQueue(64, {}, faults); }

const SimDevice kDevices[] = {{}, {.coalesce_ns = 0}, {.coalesce_ns = 60'000}, {.batched = true}};

const std::vector<SimClient> kUnequalThreads{{8}, {16}, {32}, {64}};

TEST(FairQueueSim, ClientsOf8To64ThreadsGetTheSame) {
  for (const SimDevice& device : kDevices) {
    const SimResult result = simulate(kUnequalThreads, device);
    EXPECT_GE(result.jain(), 0.99);
    for (std::size_t c = 0; c < 4; ++c) EXPECT_NEAR(result.share(c), 0.25, 0.25 * 0.03);
  }
}

TEST(FairQueueSim, FirstComeFirstServedWouldFailThat) {
  EXPECT_LT(simulate(kUnequalThreads, {}, faulty({.first_come = true})).jain(), 0.8);
}

TEST(FairQueueSim, SharesFollowWeights) {
  for (const SimDevice& device : kDevices) {
    const SimResult result = simulate(
        {{.threads = 32, .weight = 1}, {.threads = 32, .weight = 2}, {.threads = 32, .weight = 4}},
        device);
    for (std::size_t c = 0; c < 3; ++c) {
      const double fair = (1 << c) / 7.0;
      EXPECT_NEAR(result.share(c), fair, fair * 0.03) << "client " << c;
    }
  }
}

const std::vector<SimClient> kFarApart{{.threads = 32, .weight = 1},
                                       {.threads = 64, .weight = 100}};

// The light client is always backlogged and often has nothing at the device: it may pass the depth,
// but pays for it.
TEST(FairQueueSim, PassingTheDepthIsPaidFor) {
  for (const SimDevice& device : kDevices) {
    EXPECT_NEAR(simulate(kFarApart, device).share(0), 1 / 101.0, 0.03 / 101.0);
  }
  EXPECT_GT(simulate(kFarApart, {}, faulty({.no_debt = true})).share(0), 1.5 / 101.0);
}

const std::vector<SimClient> kUnequalCosts{
    {.threads = 32, .cost = 1}, {.threads = 32, .cost = 3}, {.threads = 32, .cost = 128}};

TEST(FairQueueSim, LargeRequestsBuyNoMoreSectors) {
  for (const SimDevice& device : kDevices) {
    const SimResult result = simulate(kUnequalCosts, device);
    for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(result.share(c), 1 / 3.0, 0.03 / 3.0);
  }
  EXPECT_GT(simulate(kUnequalCosts, {}, faulty({.no_deficit = true})).share(2), 0.9);
}

double tail_beside_flood(SimDevice device, FairQueue queue) {
  const auto alone = simulate({{1}}, device).percentile_ns(0, 0.99);
  const auto beside = simulate({{1}, {63}}, device, std::move(queue)).percentile_ns(0, 0.99);
  return static_cast<double>(beside) / static_cast<double>(alone);
}

TEST(FairQueueSim, OneThreadBeside63KeepsItsTail) {
  EXPECT_LE(tail_beside_flood({}, FairQueue()), 3.0);
  EXPECT_LE(tail_beside_flood({.coalesce_ns = 0}, FairQueue()), 3.0);
  // A device that takes nothing new until its batch is done makes everybody wait for two batches.
  EXPECT_LE(tail_beside_flood({.batched = true}, FairQueue()), 4.0);
  EXPECT_GT(tail_beside_flood({}, FairQueue(64, kNoDepthRule)), 3.0) << "the depth rule does this";
}

// Everybody can be at the device at once, so nobody waits for anybody's slot.
TEST(FairQueueSim, ManyClientsOfOneThreadAllGoAtOnce) {
  FairQueue queue(256);
  for (std::uint32_t c = 0; c < 256; ++c) ASSERT_TRUE(queue.push(*queue.add(1, 1), c, 1));
  std::uint32_t sent = 0;
  while (queue.next(0)) ++sent;
  EXPECT_EQ(sent, 256u);
}

TEST(FairQueueSim, WithoutPassingTheDepthManyClientsWouldWait) {
  const std::vector<SimClient> crowd(32, SimClient{.threads = 1});
  const auto ours = simulate(crowd).requests;
  EXPECT_GT(ours, 108 * simulate(crowd, {}, faulty({.no_sparse = true})).requests / 100);
}

TEST(FairQueue, AFloodIsRefusedAtItsOwnCapacityAndCostsOthersNothing) {
  FairQueue queue(2);
  const ClientIndex flood = *queue.add(1, 4);
  const ClientIndex other = *queue.add(1, 4);
  EXPECT_FALSE(queue.add(1, 4));
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_TRUE(queue.push(flood, i, 1));
  for (std::uint32_t i = 0; i < 1000; ++i) EXPECT_FALSE(queue.push(flood, i, 1));
  EXPECT_TRUE(queue.push(other, 9, 1));
  EXPECT_EQ(queue.next(0).value().client, flood);
  EXPECT_EQ(queue.next(0).value().client, other);
  EXPECT_EQ(queue.pending(flood), 3u);
}

TEST(FairQueue, WeightsMakeTurnsAsShortAsTheyCanBe) {
  FairQueue queue(2, kNoDepthRule);
  const ClientIndex light = *queue.add(300, 16);
  const ClientIndex heavy = *queue.add(600, 16);
  for (std::uint32_t i = 0; i < 16; ++i) {
    queue.push(light, i, 1);
    queue.push(heavy, i, 1);
  }
  std::string order;
  for (int i = 0; i < 9; ++i) order += queue.next(0).value().client == light ? 'l' : 'h';
  EXPECT_EQ(order, "lhhlhhlhh");
}

TEST(FairQueue, AClientThatRunsDryLosesTheRestOfItsTurn) {
  FairQueue queue(2, kNoDepthRule);
  const ClientIndex light = *queue.add(1, 64);
  const ClientIndex heavy = *queue.add(4, 64);
  const auto push_heavy = [&](int count) {
    while (count-- > 0) queue.push(heavy, 0, 1);
  };
  const auto order_of = [&](int count) {
    std::string order;
    while (count-- > 0) order += queue.next(0).value().client == light ? 'l' : 'h';
    return order;
  };
  push_heavy(1);
  for (std::uint32_t i = 0; i < 64; ++i) queue.push(light, i, 1);
  EXPECT_EQ(order_of(3), "hll");  // three of the heavy client's four were not used
  push_heavy(20);
  EXPECT_EQ(order_of(11), "hhhhlhhhhlh");
}

TEST(FairQueue, RemovedInItsTurnItHandsTheTurnOnWhole) {
  FairQueue queue(3, kNoDepthRule);
  const ClientIndex a = *queue.add(1, 8);
  const ClientIndex b = *queue.add(4, 8);
  const ClientIndex c = *queue.add(1, 8);
  for (std::uint32_t i = 0; i < 8; ++i) {
    queue.push(b, 100 + i, 1);
    queue.push(a, i, 1);
    queue.push(c, 200 + i, 1);
  }
  EXPECT_EQ(queue.next(0).value().tag, 100u);  // b's turn has three more
  std::vector<std::uint32_t> dropped;
  queue.remove(b, [&](std::uint32_t tag) { dropped.push_back(tag); });
  EXPECT_EQ(dropped, (std::vector<std::uint32_t>{101, 102, 103, 104, 105, 106, 107}));
  EXPECT_EQ(queue.next(0).value().tag, 0u);
  EXPECT_EQ(queue.next(0).value().tag, 200u);
  EXPECT_EQ(queue.next(0).value().tag, 1u);
}

TEST(FairQueue, AnIndexIsNotGivenOutWhileItsRequestsAreAtTheDevice) {
  FairQueue queue(1);
  const ClientIndex gone = *queue.add(1, 8);
  queue.push(gone, 1, 1);
  ASSERT_TRUE(queue.next(0));
  queue.remove(gone, [](std::uint32_t) {});
  EXPECT_EQ(queue.in_flight(), 1u);
  EXPECT_FALSE(queue.add(1, 8));
  queue.completed(gone);
  EXPECT_EQ(queue.in_flight(), 0u);
  const auto again = queue.add(1, 8);
  ASSERT_TRUE(again);
  EXPECT_EQ(queue.in_flight(*again), 0u);
}

// Random histories on FairQueue and on the naive one: the same picks, in the same order, and every
// item that went in comes out once.
void same_as_naive() {
  constexpr std::uint32_t kClients = 6;
  const DepthLimits limits{.min_depth = in_range(1u, 6u), .max_depth = 12, .window_ns = 1000};
  FairQueue queue(kClients, limits);
  NaiveQueue naive(kClients, limits);
  std::vector<ClientIndex> live;
  std::vector<ClientIndex> at_device;
  std::multiset<std::uint32_t> inside;
  std::uint32_t tag = 0;
  std::int64_t now = 0;
  const auto one_of = [](const auto& list) { return in_range<std::size_t>(0, list.size()); };
  const auto steps = in_range(1, 400);
  for (int step = 0; step < steps; ++step) {
    const int action = in_range(0, 20);
    now += in_range(0, 200);
    if (action == 0) {
      const auto weight = *rc::gen::element(1u, 1u, 2u, 3u, 7u, 1000u);
      const auto capacity = in_range(1u, 9u);
      const auto added = queue.add(weight, capacity);
      RC_ASSERT(added == naive.add(weight, capacity));
      if (added) live.push_back(*added);
    } else if (action == 1 && !live.empty()) {
      const std::size_t which = one_of(live);
      std::vector<std::uint32_t> dropped;
      queue.remove(live[which], [&](std::uint32_t each) { dropped.push_back(each); });
      RC_ASSERT(dropped == naive.remove(live[which]));
      for (const auto each : dropped) RC_ASSERT(inside.erase(each) == 1u);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(which));
    } else if (action < 10 && !live.empty()) {
      const ClientIndex client = live[one_of(live)];
      const auto cost = *rc::gen::element(1u, 1u, 1u, 2u, 5u, 128u, 5000u);
      const bool taken = queue.push(client, tag, cost);
      RC_ASSERT(taken == naive.push(client, tag, cost));
      if (taken) inside.insert(tag);
      ++tag;
    } else if (action < 15) {
      const auto pick = queue.next(now);
      const auto expected = naive.next(now);
      RC_ASSERT(pick.has_value() == expected.has_value());
      if (!pick) continue;
      RC_ASSERT(pick->client == expected->client);
      RC_ASSERT(pick->tag == expected->tag);
      RC_ASSERT(inside.erase(pick->tag) == 1u);
      at_device.push_back(pick->client);
    } else if (!at_device.empty()) {
      const std::size_t which = one_of(at_device);
      queue.completed(at_device[which]);
      naive.completed(at_device[which]);
      at_device.erase(at_device.begin() + static_cast<std::ptrdiff_t>(which));
    }
    RC_ASSERT(queue.in_flight() == at_device.size());
    RC_ASSERT(queue.pending() == inside.size());
  }
  // Whatever the history, it drains.
  while (queue.pending() > 0) {
    while (const auto pick = queue.next(now)) {
      RC_ASSERT(inside.erase(pick->tag) == 1u);
      at_device.push_back(pick->client);
    }
    RC_ASSERT(!at_device.empty());
    for (; !at_device.empty(); at_device.pop_back()) queue.completed(at_device.back());
  }
  RC_ASSERT(inside.empty());
}

TEST(FairQueueModel, SameAsTheNaiveQueue) {
  EXPECT_TRUE(rc::check("FairQueue gives what NaiveQueue gives", same_as_naive));
}

}  // namespace
}  // namespace fairlead::disk
