// SPDX-License-Identifier: Apache-2.0
#include "manage/memory_meter.h"

#include <gtest/gtest.h>

namespace fairlead::manage {
namespace {

constexpr std::uint64_t kMebi = 1024 * 1024;
constexpr std::int64_t kSecond = 1'000'000'000;

class MemoryMeterTest : public testing::Test {
 protected:
  MemoryMeterTest() {
    sample_.wall_s = 1000;
    sample_.guests.resize(1);
    sample_.guests[0].uuid = "a";
    sample_.guests[0].memory.emplace();
    memory().maximum_bytes = 2048 * kMebi;
    size(512);
    memory().updated_s = 0;
  }

  BalloonSample& memory() { return *sample_.guests[0].memory; }
  void size(std::uint64_t mib) { memory().current_bytes = mib * kMebi; }
  void report(std::uint64_t usable_mib) {
    memory().usable_bytes = usable_mib * kMebi;
    memory().updated_s = sample_.wall_s;
  }
  void pass(std::int64_t seconds) {
    sample_.at_ns += seconds * kSecond;
    sample_.wall_s += seconds;
  }
  MemoryReading look() { return meter_.measure(sample_)[0]; }
  static std::int64_t mib(std::int64_t bytes) { return bytes / static_cast<std::int64_t>(kMebi); }

  Sample sample_;
  MemoryMeter meter_{1};
};

TEST_F(MemoryMeterTest, WaitsForAReportAndThenGivesUp) {
  EXPECT_EQ(look().state, ReportState::kNone);
  pass(29);
  EXPECT_EQ(look().state, ReportState::kNone);
  pass(1);
  const MemoryReading late = look();
  EXPECT_EQ(late.state, ReportState::kNever);
  EXPECT_TRUE(late.ask_again);
  EXPECT_FALSE(late.known);
  report(200);
  EXPECT_EQ(look().state, ReportState::kFresh) << "better late than never";
}

TEST_F(MemoryMeterTest, UsedIsSizeWithoutUsable) {
  report(200);
  const MemoryReading reading = look();
  EXPECT_EQ(mib(reading.used), 312);
  EXPECT_EQ(mib(reading.usable), 200);
  EXPECT_TRUE(reading.first);
  EXPECT_FALSE(look().first);
}

TEST_F(MemoryMeterTest, AReportAgesAndGoesStale) {
  report(200);
  look();
  pass(3);
  EXPECT_EQ(look().state, ReportState::kFresh);
  EXPECT_DOUBLE_EQ(look().age_s, 3);
  pass(1);
  EXPECT_EQ(look().state, ReportState::kStale) << "older than 2 periods and a second";
}

TEST_F(MemoryMeterTest, AReportFromTheFutureAgesByOurOwnClock) {
  sample_.wall_s += 3600;
  report(200);
  sample_.wall_s -= 3600;
  EXPECT_EQ(look().state, ReportState::kFresh);
  pass(4);
  EXPECT_EQ(look().state, ReportState::kStale);
}

TEST_F(MemoryMeterTest, GrowthRisesAtOnceAndDecaysSlowly) {
  report(200);
  look();
  pass(2);
  report(160);
  EXPECT_NEAR(look().growth / kMebi, 20, 0.1);
  for (int i = 0; i < 4; ++i) {
    pass(2);
    report(160);
    look();
  }
  EXPECT_NEAR(look().growth / kMebi, 10, 0.1) << "half after 8 s";
}

TEST_F(MemoryMeterTest, AnOldReportBesideANewSizeIsNoUse) {
  report(200);
  look();
  for (int i = 0; i < 5; ++i) {
    pass(2);
    size(static_cast<std::uint64_t>(512 + 100 * (i + 1)));
    report(static_cast<std::uint64_t>(200 + 100 * i));  // made before it got the last 100
    EXPECT_EQ(mib(look().used), 312) << "what was given is not what is used";
    EXPECT_LT(look().growth, kMebi);
  }
  pass(2);
  report(700);
  EXPECT_EQ(mib(look().used), 312);
}

TEST_F(MemoryMeterTest, MemTotalTellsTheSizeThatAReportBelongsTo) {
  const auto full_report = [&](std::uint64_t size_mib, std::uint64_t used_mib) {
    report(size_mib - used_mib);
    memory().available_bytes = (size_mib - 24) * kMebi;
  };
  full_report(512, 300);
  look();
  pass(2);
  size(600);
  full_report(600, 300);
  look();
  pass(2);
  full_report(600, 300);
  look();  // 24 MiB less at both sizes: it follows
  pass(2);
  size(500);
  full_report(600, 340);
  EXPECT_EQ(mib(look().used), 340);
  pass(2);
  size(450);
  full_report(470, 360);
  EXPECT_EQ(mib(look().used), 360);
}

TEST_F(MemoryMeterTest, BoundsWhatAGuestSays) {
  memory().available_bytes = UINT64_MAX;
  memory().unused_bytes = UINT64_MAX;
  for (const std::uint64_t usable : {UINT64_MAX, std::uint64_t{1} << 63, std::uint64_t{0}}) {
    pass(2);
    size(usable % 2 == 0 ? 512 : 700);
    memory().usable_bytes = usable;
    memory().updated_s = sample_.wall_s;
    const MemoryReading reading = look();
    EXPECT_GE(reading.used, 0);
    EXPECT_LE(reading.used, reading.size);
    EXPECT_GE(reading.usable, 0);
    EXPECT_LE(reading.growth, 1024.0 * kMebi);
    EXPECT_LE(reading.resident, reading.size);
    EXPECT_GE(reading.resident, 0);
  }
  memory().updated_s = INT64_MIN;
  EXPECT_EQ(look().state, ReportState::kFresh);
  memory().updated_s = INT64_MAX;
  look();
}

TEST_F(MemoryMeterTest, PausedAndRestartedGuestsBeginAnew) {
  report(200);
  look();
  sample_.guests[0].state = GuestState::kPaused;
  pass(60);
  EXPECT_EQ(look().state, ReportState::kPaused);
  sample_.guests[0].state = GuestState::kRunning;
  EXPECT_EQ(look().state, ReportState::kStale);
  report(10);
  const MemoryReading resumed = look();
  EXPECT_EQ(resumed.state, ReportState::kFresh);
  EXPECT_EQ(resumed.growth, 0) << "how fast it grew between is not known";
  sample_.guests[0].run_id = 2;
  memory().updated_s = 0;
  const MemoryReading anew = look();
  EXPECT_EQ(anew.state, ReportState::kNone);
  EXPECT_TRUE(anew.first);
  EXPECT_FALSE(anew.known);
}

TEST_F(MemoryMeterTest, AKernelWithoutMemAvailableIsReadByMemFree) {
  memory().unused_bytes = 100 * kMebi;
  memory().updated_s = sample_.wall_s;
  EXPECT_EQ(mib(look().used), 412);
}

}  // namespace
}  // namespace fairlead::manage
