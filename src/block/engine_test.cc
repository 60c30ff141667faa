// SPDX-License-Identifier: Apache-2.0
//
// Both engines keep the same promises.
#include "block/engine.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include <gtest/gtest.h>

#include "block/image.h"
#include "block/testing_image.h"

namespace fairlead::block {
namespace {

constexpr std::uint32_t kEngineSlots = 64;
constexpr std::uint64_t kImageSectors = 512;

class EngineTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    auto image = Image::open(make_test_image(folder_ / "disk.img", kImageSectors));
    ASSERT_TRUE(image);
    image_ = std::move(*image);
    auto engine =
        make_engine(GetParam(), {.slots = kEngineSlots, .buffer_bytes = 4096, .watches = 8});
    ASSERT_TRUE(engine);
    engine_ = *std::move(engine);
    const auto started = engine_->start(image_.fd());
    ASSERT_TRUE(started) << started.error().message();
  }

  // Waits for `count` events, given out in portions of `portion`.
  std::vector<EngineEvent> collect(std::size_t count, std::size_t portion = 16) {
    std::vector<EngineEvent> all;
    std::vector<EngineEvent> some(portion);
    const std::int64_t deadline = base::monotonic_ns() + 10 * base::kNanosPerSecond;
    while (all.size() < count && base::monotonic_ns() < deadline) {
      const std::size_t got = engine_->reap(some);
      EXPECT_LE(got, portion);
      all.insert(all.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(got));
      if (got == 0) engine_->wait(base::kNanosPerSecond);
    }
    EXPECT_EQ(all.size(), count);
    return all;
  }
  // Events of the next moment, where there should be few or none.
  std::size_t linger() {
    EngineEvent some[16];
    std::size_t found = 0;
    const std::int64_t deadline = base::monotonic_ns() + 30 * base::kNanosPerMilli;
    while (base::monotonic_ns() < deadline) {
      engine_->wait(5 * base::kNanosPerMilli);
      found += engine_->reap(some);
    }
    return found;
  }
  static void ring(int fd) {
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(fd, &one, sizeof one), 8);
  }

  TestFolder folder_;
  Image image_;
  std::unique_ptr<Engine> engine_;
};

TEST_P(EngineTest, ReadsTheRightBytesIntoTheRightBuffer) {
  for (std::uint32_t slot = 0; slot < kEngineSlots; ++slot)
    engine_->read(slot, 512 * (slot * 7), 1024);
  engine_->submit();
  std::vector<bool> seen(kEngineSlots);
  for (const EngineEvent& event : collect(kEngineSlots)) {
    ASSERT_EQ(event.kind, EngineEvent::Kind::kRead);
    ASSERT_LT(event.token, kEngineSlots);
    EXPECT_EQ(event.result, 1024);
    EXPECT_FALSE(seen[event.token]) << "reported twice";
    seen[event.token] = true;
    const auto slot = static_cast<std::uint32_t>(event.token);
    EXPECT_TRUE(holds_sectors({engine_->buffer(slot), 1024}, slot * 7, 1));
  }
  EXPECT_EQ(engine_->counts().reads, kEngineSlots);
}

TEST_P(EngineTest, HandsOutMoreEventsThanTheCallerTakesAtOnce) {
  for (std::uint32_t slot = 0; slot < kEngineSlots; ++slot) engine_->read(slot, 0, 512);
  engine_->submit();
  std::vector<int> seen(kEngineSlots);
  for (const EngineEvent& event : collect(kEngineSlots, 3)) ++seen.at(event.token);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), kEngineSlots);
}

TEST_P(EngineTest, TakesMoreReadsThanItsQueueBeforeASubmit) {
  for (int round = 0; round < 5; ++round) {
    for (std::uint32_t slot = 0; slot < kEngineSlots; ++slot) engine_->read(slot, 512 * slot, 512);
    engine_->submit();
    collect(kEngineSlots);
  }
  EXPECT_EQ(engine_->counts().reads, 5 * kEngineSlots);
}

TEST_P(EngineTest, ReportsWhatTheDeviceDoesNotGive) {
  engine_->read(0, kImageSectors * 512, 512);         // past the end
  engine_->read(1, (kImageSectors - 1) * 512, 1024);  // half past the end
  engine_->read(2, 1, 512);                           // O_DIRECT refuses this
  engine_->submit();
  for (const EngineEvent& event : collect(3)) {
    const std::int32_t want[] = {0, 512, -EINVAL};
    EXPECT_EQ(event.result, want[event.token]) << event.token;
  }
}

TEST_P(EngineTest, ADoorbellIsReportedOncePerSignalThoughNobodyReadsIt) {
  const base::Fd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(engine_->watch(bell.get(), 77));
  EXPECT_EQ(linger(), 0u);
  for (int i = 0; i < 3; ++i) {
    ring(bell.get());
    const auto events = collect(1);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].kind, EngineEvent::Kind::kReadable);
    EXPECT_EQ(events[0].token, 77u);
    EXPECT_EQ(linger(), 0u) << "a signal already reported came again";
  }
}

TEST_P(EngineTest, ADoorbellRungBeforeItIsWatchedIsHeard) {
  const base::Fd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ring(bell.get());
  ASSERT_TRUE(engine_->watch(bell.get(), 5));
  EXPECT_EQ(collect(1).at(0).token, 5u);
}

TEST_P(EngineTest, AfterUnwatchADoorbellIsSilentAndItsNeighbourIsNot) {
  const base::Fd one(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const base::Fd two(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(engine_->watch(one.get(), 1));
  ASSERT_TRUE(engine_->watch(two.get(), 2));
  engine_->unwatch(one.get(), 1);
  EXPECT_LE(linger(), 1u);
  ring(one.get());
  EXPECT_EQ(linger(), 0u);
  ring(two.get());
  EXPECT_EQ(collect(1).at(0).token, 2u);
}

TEST_P(EngineTest, WaitEndsWithItsTime) {
  const std::int64_t before = base::monotonic_ns();
  engine_->wait(20 * base::kNanosPerMilli);
  const std::int64_t took = base::monotonic_ns() - before;
  EXPECT_GE(took, 19 * base::kNanosPerMilli);
  EXPECT_LT(took, 10 * base::kNanosPerSecond);
  EngineEvent some[4];
  EXPECT_EQ(engine_->reap(some), 0u);
}

TEST_P(EngineTest, WaitWithoutLimitEndsWithADoorbellFromAnotherThread) {
  const base::Fd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(engine_->watch(bell.get(), 9));
  std::thread other([&] { ring(bell.get()); });
  EngineEvent some[4];
  std::size_t got = 0;
  while ((got = engine_->reap(some)) == 0) engine_->wait(kNoTimeout);
  other.join();
  EXPECT_EQ(some[0].token, 9u);
}

INSTANTIATE_TEST_SUITE_P(Both, EngineTest, ::testing::Values(EngineKind::kUring, EngineKind::kPool),
                         [](const auto& engine) {
                           return engine.param == EngineKind::kUring ? "Uring" : "Pool";
                         });

}  // namespace
}  // namespace fairlead::block
