// SPDX-License-Identifier: Apache-2.0
#include "shm/ring.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace fairlead::shm {
namespace {

constexpr std::uint32_t kSlots = 4;

// One direction of a ring whose indices begin at `first`, the consumer asleep.
struct Direction {
  explicit Direction(std::uint32_t first) : produced(first), event(first + 1), first_(first) {}

  std::atomic<std::uint32_t> produced;
  std::atomic<std::uint32_t> event;
  std::array<std::uint64_t, kSlots> entries{};
  std::uint32_t first_;
  Producer<Production, std::uint64_t> in{produced, event, entries.data(), kSlots, first_};
  Consumer<Production, std::uint64_t> out{produced, event, entries.data(), kSlots, first_};

  std::vector<std::uint64_t> take(std::size_t most = kSlots) {
    std::vector<std::uint64_t> got(most);
    const int count = out.take(got);
    EXPECT_GE(count, 0);
    got.resize(static_cast<std::size_t>(std::max(count, 0)));
    return got;
  }
};

// At zero, and where the indices wrap within the test.
class RingTest : public testing::TestWithParam<std::uint32_t> {
 protected:
  Direction ring_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(From, RingTest,
                         testing::Values(0u, 1u, 0x7fff'fffeu, 0xffff'fffeu, 0xffff'ffffu));

TEST_P(RingTest, EntriesArriveInOrderRoundAfterRound) {
  std::uint64_t next = 1;
  std::uint64_t due = 1;
  for (int round = 0; round < 20; ++round) {
    const int count = round % 4 + 1;
    for (int i = 0; i < count; ++i) ring_.in.push(next++);
    EXPECT_TRUE(ring_.take().empty()) << "not published yet";
    ring_.in.publish();
    for (const std::uint64_t value : ring_.take()) EXPECT_EQ(value, due++);
    EXPECT_EQ(due, next);
  }
}

TEST_P(RingTest, AFullRingIsTakenInPieces) {
  for (std::uint64_t i = 0; i < kSlots; ++i) ring_.in.push(i);
  ring_.in.publish();
  EXPECT_EQ(ring_.take(3), (std::vector<std::uint64_t>{0, 1, 2}));
  EXPECT_FALSE(ring_.out.looks_empty());
  EXPECT_EQ(ring_.take(3), (std::vector<std::uint64_t>{3}));
  EXPECT_TRUE(ring_.out.looks_empty());
}

TEST_P(RingTest, NothingToPublishNotifiesNobody) {
  EXPECT_FALSE(ring_.in.unpublished());
  EXPECT_FALSE(ring_.in.publish());
  ring_.in.push(1);
  EXPECT_TRUE(ring_.in.unpublished());
  EXPECT_TRUE(ring_.in.publish()) << "both ends begin asleep";
  EXPECT_FALSE(ring_.in.publish());
}

TEST_P(RingTest, NotifiesOnlyWhoArmed) {
  ring_.in.push(1);
  EXPECT_TRUE(ring_.in.publish());
  ring_.in.push(2);
  EXPECT_FALSE(ring_.in.publish()) << "notified already";
  EXPECT_EQ(ring_.take().size(), 2u);
  ring_.in.push(3);
  EXPECT_FALSE(ring_.in.publish()) << "awake, never armed";
  EXPECT_FALSE(ring_.out.arm()) << "the second look sees it";
  EXPECT_EQ(ring_.take().size(), 1u);
  EXPECT_TRUE(ring_.out.arm());
  ring_.in.push(4);
  ring_.in.push(5);
  EXPECT_TRUE(ring_.in.publish()) << "a batch that begins at the event";
}

// new − event < new − old, for every place of the event around the batch.
TEST_P(RingTest, NotifiesIfTheEventLiesInTheBatch) {
  const std::uint32_t first = GetParam();
  for (int batch = 1; batch <= 3; ++batch) {
    for (int at = -2; at <= 5; ++at) {
      Direction ring(first);
      ring.event = first + static_cast<std::uint32_t>(at);
      for (int i = 0; i < batch; ++i) ring.in.push(0);
      EXPECT_EQ(ring.in.publish(), at >= 1 && at <= batch) << "event " << at << ", batch " << batch;
    }
  }
}

TEST_P(RingTest, AnIndexTooFarAheadIsAFault) {
  std::array<std::uint64_t, kSlots> out;
  ring_.produced = GetParam() + kSlots;
  EXPECT_EQ(ring_.out.take(std::span(out).first(0)), 0) << "as far as it may";
  for (const std::uint32_t ahead : {kSlots + 1, 0x8000'0000u, 0xffff'ffffu}) {
    ring_.produced = GetParam() + ahead;
    EXPECT_EQ(ring_.out.take(out), kFault) << ahead;
  }
}

TEST_P(RingTest, AFaultTakesNothing) {
  std::array<std::uint64_t, kSlots> out;
  ring_.in.push(7);
  ring_.in.publish();
  const std::uint32_t honest = ring_.produced;
  ring_.produced = honest + 100;
  EXPECT_EQ(ring_.out.take(out), kFault);
  ring_.produced = honest;
  EXPECT_EQ(ring_.take(), (std::vector<std::uint64_t>{7}));
}

TEST_P(RingTest, SleepEndsAtOnceIfSomethingIsThere) {
  ring_.in.push(1);
  ring_.in.publish();
  ring_.out.sleep(kForever, FutexScope::kShared);
}

}  // namespace
}  // namespace fairlead::shm
