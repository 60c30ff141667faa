// SPDX-License-Identifier: Apache-2.0
#include "shm/adaptive_poll.h"

#include <algorithm>
#include <cstdint>

#include <gtest/gtest.h>

namespace fairlead::shm {
namespace {

// A clock that moves when somebody yields or spins.
struct Scripted {
  static inline std::int64_t now = 0;
  static inline std::int64_t yield_ns = 0;
  static inline int yields = 0;
  static std::int64_t now_ns() noexcept { return now; }
  static void yield() noexcept {
    ++yields;
    now += yield_ns;
  }
  static void relax() noexcept { now += 20; }
};

using Poll = BasicAdaptivePoll<Scripted>;

class AdaptivePollTest : public testing::Test {
 protected:
  AdaptivePollTest() {
    Scripted::now = 1'000'000'000;
    Scripted::yield_ns = 1'000;
    Scripted::yields = 0;
  }

  // Waits for an answer that takes `wait_ns` and at least one yield; true: it was looked for.
  bool wait(std::int64_t wait_ns) {
    const std::int64_t answer = Scripted::now + wait_ns;
    poll_.begin();
    while (poll_.again()) {
      if (Scripted::now >= answer && Scripted::yields > 0) {
        poll_.answered();
        return true;
      }
    }
    Scripted::now = std::max(Scripted::now, answer);
    poll_.slept();
    return false;
  }

  int yields_of_one_wait() {
    Scripted::yields = 0;
    poll_.begin();
    while (poll_.again()) {
    }
    const int yields = Scripted::yields;
    poll_.slept();
    return yields;
  }

  void make_average(std::int64_t wait_ns) {
    for (int i = 0; i < 200; ++i) wait(wait_ns);
  }

  Poll poll_{PollLimits{}};
};

TEST_F(AdaptivePollTest, SpinsWithoutASystemCallBeforeItYields) {
  const std::int64_t began = Scripted::now;
  poll_.begin();
  while (Scripted::yields == 0) ASSERT_TRUE(poll_.again());
  const std::int64_t spun = Scripted::now - Scripted::yield_ns - began;
  EXPECT_GE(spun, 2'500);
  EXPECT_LE(spun, 3'300) << "a few looks late, because not each look reads the clock";
}

TEST_F(AdaptivePollTest, AnswersBeforeTheFirstYieldCountAsShort) {
  make_average(100'000);
  EXPECT_FALSE(poll_.brief());
  for (int i = 0; i < 100; ++i) {
    poll_.begin();
    poll_.again();
    poll_.answered();
  }
  EXPECT_LT(poll_.average_ns(), 1'000);
  EXPECT_TRUE(poll_.brief());
}

TEST_F(AdaptivePollTest, LooksForTheWholeLimitWhileWaitsAreShorter) {
  EXPECT_EQ(poll_.budget_ns(), 1'000'000) << "nothing known";
  make_average(50'000);
  EXPECT_NEAR(static_cast<double>(poll_.average_ns()), 50'000, 1'500);
  EXPECT_EQ(poll_.budget_ns(), 1'000'000);
  EXPECT_NEAR(yields_of_one_wait(), 1000, 10) << "1 ms in steps of 1 µs";
}

TEST_F(AdaptivePollTest, LongWaitsEndLookingAndShortOnesBringItBack) {
  for (int i = 0; i < 100; ++i) wait(5'000'000);
  EXPECT_GT(poll_.average_ns(), 1'000'000);
  EXPECT_LE(poll_.average_ns(), 2'000'000) << "each wait is clamped";
  EXPECT_EQ(poll_.budget_ns(), 0);
  EXPECT_EQ(yields_of_one_wait(), 0);
  for (int i = 0; i < 30; ++i) wait(10'000);
  EXPECT_GT(poll_.budget_ns(), 0);
  EXPECT_GT(yields_of_one_wait(), 0);
}

TEST_F(AdaptivePollTest, NeverLooksWhenToldSo) {
  Poll poll{PollLimits{.max_ns = 0}};
  poll.begin();
  EXPECT_FALSE(poll.again());
  poll.slept();
  EXPECT_FALSE(poll.brief());
}

TEST_F(AdaptivePollTest, HeedsThePeersHint) {
  std::atomic<std::uint32_t> may_poll{0};
  poll_.heed(may_poll);
  EXPECT_EQ(yields_of_one_wait(), 0);
  may_poll = 1;
  EXPECT_GT(yields_of_one_wait(), 0);
}

// Waits until it looks again after a yield that another program kept for long.
int waits_slept_through(AdaptivePollTest&, const auto& yields_of_one_wait) {
  Scripted::yield_ns = 600'000;
  yields_of_one_wait();
  Scripted::yield_ns = 1'000;
  int waits = 0;
  while (waits < 100'000 && yields_of_one_wait() == 0) ++waits;
  return waits;
}

TEST_F(AdaptivePollTest, ACrowdedCoreIsLeftAloneForTwiceAsLongEachTime) {
  const auto one = [this] { return yields_of_one_wait(); };
  make_average(200'000);  // a budget that outlasts the long yield
  const int first = waits_slept_through(*this, one);
  EXPECT_EQ(first, 64);
  make_average(200'000);
  const int second = waits_slept_through(*this, one);
  EXPECT_GT(second, 64);
  EXPECT_LE(second, 128);
  int last = second;
  for (int i = 0; i < 12; ++i) {
    make_average(200'000);
    last = waits_slept_through(*this, one);
  }
  EXPECT_GT(last, 900);
  EXPECT_LE(last, 1024) << "the most";
}

TEST_F(AdaptivePollTest, BriefIsToldByYieldsNotByTime) {
  EXPECT_TRUE(poll_.brief()) << "nothing known";
  Scripted::yield_ns = 150'000;  // many threads of our own had their turn
  make_average(200'000);
  EXPECT_TRUE(poll_.brief()) << "two yields a wait";
  Scripted::yield_ns = 1'000;  // nobody else has anything to do
  make_average(50'000);
  EXPECT_FALSE(poll_.brief()) << "fifty yields a wait";
}

TEST_F(AdaptivePollTest, AWaitThatSleptIsNotBrief) {
  std::atomic<std::uint32_t> may_poll{0};
  poll_.heed(may_poll);
  for (int i = 0; i < 10; ++i) yields_of_one_wait();
  EXPECT_FALSE(poll_.brief());
}

}  // namespace
}  // namespace fairlead::shm
