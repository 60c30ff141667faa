// SPDX-License-Identifier: Apache-2.0
#include "relay/clock_sync.h"

#include <atomic>
#include <limits>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "base/random.h"
#include "relay/stamp.h"

namespace fairlead::relay {
namespace {

using std::chrono::milliseconds;

constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
constexpr auto kMost = std::numeric_limits<std::int64_t>::max();

TEST(ClockInterval, TheMiddleIsWithinHalfAWidthOfBothEnds) {
  base::Random random(1);
  for (int i = 0; i < 1000; ++i) {
    const auto low = static_cast<std::int64_t>(random.next()) / 4;
    const ClockInterval one{low, low + static_cast<std::int64_t>(random.below(1000))};
    EXPECT_LE(static_cast<std::uint64_t>(one.high - one.middle()), one.half_width());
    EXPECT_LE(static_cast<std::uint64_t>(one.middle() - one.low), one.half_width());
  }
  const ClockInterval all{kLeast, kMost};
  EXPECT_EQ(all.half_width(), std::uint64_t{1} << 63);
}

// A hostile producer chooses both ends, if not their distance.
TEST(ClockInterval, AMiddlePastTheEndOfSixtyFourBitsIsNoOverflow) {
  const ClockInterval wrapped{kMost - 2, kLeast + 7};
  EXPECT_EQ(wrapped.width(), 10U);
  EXPECT_EQ(wrapped.middle(), kLeast + 2);
  ClockCertificate certificate;
  EXPECT_TRUE(certificate.add(wrapped));
  EXPECT_FALSE(certificate.add({0, 1}));
  EXPECT_EQ(certificate.interval().high, 1);
}

TEST(ClockInterval, OnlyWhatIsInBothIsInTheIntersection) {
  const auto common = intersection({0, 10}, {5, 20});
  ASSERT_TRUE(common);
  EXPECT_EQ(common->low, 5);
  EXPECT_EQ(common->high, 10);
  EXPECT_TRUE(intersection({0, 5}, {5, 9}));
  EXPECT_FALSE(intersection({0, 4}, {5, 9}));
}

TEST(ClockCertificate, NarrowsAndNoticesAStep) {
  ClockCertificate certificate;
  EXPECT_FALSE(certificate.known());
  EXPECT_TRUE(certificate.add({100, 140}));
  EXPECT_TRUE(certificate.add({120, 160}));
  EXPECT_EQ(certificate.interval().low, 120);
  EXPECT_EQ(certificate.interval().high, 140);
  EXPECT_EQ(certificate.epoch(), 0U);
  EXPECT_FALSE(certificate.add({900, 950}));
  EXPECT_EQ(certificate.epoch(), 1U);
  EXPECT_EQ(certificate.interval().low, 900);
  EXPECT_TRUE(certificate.add({940, 990}));
  EXPECT_EQ(certificate.interval().high, 950);
}

// Simulated: random ways there and back around a true offset.
TEST(ClockCertificate, TheTruthIsAlwaysWithin) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    base::Random random(seed);
    const auto offset = static_cast<std::int64_t>(random.below(1'000'000)) - 500'000;
    ClockCertificate certificate;
    std::int64_t now = 0;
    for (int i = 0; i < 50; ++i) {
      const std::int64_t h1 = now += static_cast<std::int64_t>(random.below(1000));
      const std::int64_t g = (now += static_cast<std::int64_t>(random.below(500))) + offset;
      const std::int64_t h2 = now += static_cast<std::int64_t>(random.below(500));
      ASSERT_TRUE(certificate.add({g - h2, g - h1})) << "seed " << seed;
      ASSERT_LE(certificate.interval().low, offset) << "seed " << seed;
      ASSERT_GE(certificate.interval().high, offset) << "seed " << seed;
    }
  }
}

class ClockSync : public ::testing::Test {
 protected:
  abi::RelaySyncIn in_{};
  abi::RelaySyncOut out_{};
};

TEST_F(ClockSync, NobodyAnswers) {
  ClockAsker asker(in_, out_);
  EXPECT_FALSE(asker.measure(4, milliseconds(2)));
  EXPECT_EQ(out_.round.load(), 1U);
}

TEST_F(ClockSync, ThereIsOneAnswerToAQuestion) {
  ClockAnswerer answerer(in_, out_);
  EXPECT_FALSE(answerer.answer());
  out_.round = 7;
  EXPECT_TRUE(answerer.answer());
  EXPECT_EQ(in_.round.load(), 7U);
  EXPECT_FALSE(answerer.answer());
}

// One counter on both sides: the truth is 0.
TEST_F(ClockSync, TwoThreadsOfOneClockFindNoOffset) {
  std::atomic<bool> stop{false};
  std::thread producer([&] {
    ClockAnswerer answerer(in_, out_);
    while (!stop) answerer.answer_burst(std::chrono::microseconds(200));
  });
  ClockAsker asker(in_, out_);
  ClockCertificate certificate;
  for (int i = 0; i < 20; ++i) {
    const auto measured = asker.measure(32, milliseconds(2000));
    ASSERT_TRUE(measured);
    EXPECT_LE(measured->low, 0);
    EXPECT_GE(measured->high, 0);
    EXPECT_TRUE(certificate.add(*measured));
  }
  stop = true;
  producer.join();
}

// Answers so many questions as a clock that is `ahead` of ours, then others as one further ahead.
class SteppingProducer {
 public:
  SteppingProducer(abi::RelaySyncIn& in, const abi::RelaySyncOut& out, int before, int after)
      : thread_([&in, &out, before, after, this] {
          for (int answered = 0; answered < before + after && !stop_;) {
            const std::uint64_t round = out.round.load();
            if (round == in.round.load()) continue;
            in.stamp = ordered_stamp() + (answered < before ? kBefore : kAfter);
            in.round = round;
            ++answered;
          }
        }) {}
  ~SteppingProducer() {
    stop_ = true;
    thread_.join();
  }
  static constexpr std::uint64_t kBefore = 1'000'000'000'000;
  static constexpr std::uint64_t kAfter = 2'000'000'000'000;

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST_F(ClockSync, OfAClockThatStepsInABurstTheLastIsTrue) {
  ClockAsker asker(in_, out_);
  std::optional<ClockInterval> measured;
  // A burst that is cut short, as on a busy machine, may have seen nothing of the step.
  for (int tries = 0; tries < 100; ++tries) {
    const SteppingProducer producer(in_, out_, 1, 1000);
    measured = asker.measure(8, milliseconds(20'000));
    ASSERT_TRUE(measured);
    if (measured->low > static_cast<std::int64_t>(SteppingProducer::kAfter / 2 * 3 / 2)) break;
  }
  EXPECT_LE(measured->low, static_cast<std::int64_t>(SteppingProducer::kAfter));
  EXPECT_GE(measured->high, static_cast<std::int64_t>(SteppingProducer::kAfter));
}

TEST_F(ClockSync, ABurstThatIsCutShortSaysWhatWasAnswered) {
  const SteppingProducer producer(in_, out_, 1, 0);
  ClockAsker asker(in_, out_);
  const auto measured = asker.measure(8, milliseconds(20'000));
  ASSERT_TRUE(measured);
  EXPECT_LE(measured->low, static_cast<std::int64_t>(SteppingProducer::kBefore));
  EXPECT_GE(measured->high, static_cast<std::int64_t>(SteppingProducer::kBefore));
}

TEST_F(ClockSync, WhoFollowsAnAskerGoesOnWithItsRounds) {
  out_.round = 41;
  in_.round = 41;
  ClockAsker asker(in_, out_);
  EXPECT_FALSE(asker.measure(1, milliseconds(1)));  // what was answered before is no answer
  EXPECT_EQ(out_.round.load(), 42U);
}

}  // namespace
}  // namespace fairlead::relay
