// SPDX-License-Identifier: Apache-2.0
#include "manage/memory_meter.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "manage/bytes.h"

namespace fairlead::manage {
namespace {

using base::kNanosPerSecond;

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
    sample_.at_ns += seconds * kNanosPerSecond;
    sample_.wall_s += seconds;
  }
  MemoryReading look() { return meter_.measure(sample_)[0]; }
  // A report of a guest that uses `used_mib` of the `real_mib` that its balloon leaves it.
  void report_of(std::uint64_t used_mib, std::uint64_t real_mib, std::uint64_t total_mib) {
    report(real_mib - used_mib);
    memory().available_bytes = total_mib * kMebi;
  }
  static std::int64_t mib(std::int64_t bytes) { return bytes / kMebi; }

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
    report_of(used_mib, size_mib, size_mib - 24);
  };
  full_report(512, 300);
  look();
  pass(2);
  size(600);
  full_report(600, 300);
  look();  // it has moved with the balloon: it follows
  pass(2);
  size(500);
  full_report(600, 340);
  EXPECT_EQ(mib(look().used), 340);
  pass(2);
  size(450);
  full_report(470, 360);
  EXPECT_EQ(mib(look().used), 360);
}

// As real guests did it: the balloon has released, the report says so, and the size beside it is of
// a second before.  What is gone from usable was not used.
TEST_F(MemoryMeterTest, ASizeThatIsToldLateIsNoGrowth) {
  report_of(300, 512, 488);
  look();
  meter_.asked("a", 412 * kMebi);
  pass(2);
  report_of(300, 412, 388);
  EXPECT_EQ(mib(look().used), 300);
  EXPECT_LT(look().growth, kMebi);
  pass(2);
  size(412);
  report_of(310, 412, 388);
  EXPECT_EQ(mib(look().used), 310);
  EXPECT_NEAR(look().growth / kMebi, 5, 0.1);
}

// With deflate-on-OOM MemTotal says nothing: what was asked for may have come.
TEST_F(MemoryMeterTest, ASizeThatIsToldLateIsNoGrowthWithDeflateOnOomEither) {
  report_of(300, 512, 2024);
  look();
  meter_.asked("a", 412 * kMebi);
  pass(2);
  report_of(300, 412, 2024);
  EXPECT_EQ(mib(look().used), 300);
  EXPECT_LT(look().growth, kMebi);
  pass(2);
  size(412);
  report_of(300, 412, 2024);
  EXPECT_EQ(mib(look().used), 300);
  EXPECT_LT(look().growth, kMebi);
}

TEST_F(MemoryMeterTest, GrowthIsSeenAtOnceWhileTheBalloonMoves) {
  for (const bool follows : {true, false}) {
    SCOPED_TRACE(follows);
    meter_ = MemoryMeter(1);
    report_of(300, 512, follows ? 488 : 2024);
    look();
    meter_.asked("a", 412 * kMebi);
    pass(2);
    report_of(340, 412, follows ? 388 : 2024);
    EXPECT_EQ(mib(look().used), 340) << "140 MiB less, and the balloon took no more than 100";
    EXPECT_NEAR(look().growth / kMebi, 20, 0.1);
  }
}

// 34 of 150 MiB that the balloon gives back are nowhere to be seen: the guest's kernel keeps them
// at hand.  They cannot hide a growth for longer than one report.
TEST_F(MemoryMeterTest, WhatTheKernelKeepsAtHandIsNoGrowth) {
  report_of(300, 512, 488);
  look();
  meter_.asked("a", 662 * kMebi);
  pass(2);
  size(662);
  report_of(334, 662, 638);
  EXPECT_EQ(mib(look().used), 334) << "it is usable, but not by what the guest says";
  EXPECT_LT(look().growth, kMebi);
  pass(2);
  report_of(334, 662, 638);
  EXPECT_LT(look().growth, kMebi);
  for (std::uint64_t step = 1; step <= 2; ++step) {
    pass(2);
    size(662 + 80 * step);
    report_of(334 + 60 * step, 662 + 80 * step, 638 + 80 * step);
    look();
  }
  EXPECT_NEAR(look().growth / kMebi, 30, 0.1);
}

// As recorded, an idle guest of 122 MiB (QEMU 7.2, Linux 6.1, T = 1 s), whose size an earlier meter
// moved from one false growth of 55 MiB/s to the next: what was shown of it, and asked afterwards.
TEST_F(MemoryMeterTest, ARealIdleGuestDoesNotGrow) {
  const struct {
    double size, total, usable;
    std::int64_t asked;
  } seen[] = {
      {350, 303.27, 229.32, 0},   {350, 303.27, 229.32, 294}, {349, 247.27, 173.25, 353},
      {294, 306.27, 196.35, 421}, {393, 374.27, 262.26, 0},   {421, 374.27, 262.26, 0},
      {421, 374.27, 262.26, 405}, {420, 358.27, 262.26, 0},   {405, 358.27, 262.26, 352},
      {404, 305.27, 231.26, 0},   {352, 305.27, 231.26, 320}, {345, 273.27, 199.29, 338},
      {323, 291.27, 199.29, 0},   {338, 291.27, 199.29, 319}, {319, 272.27, 198.32, 296},
      {312, 249.27, 175.31, 0},   {296, 249.27, 175.31, 0},   {296, 249.27, 175.31, 280},
  };
  const auto bytes = [](double mib) { return static_cast<std::uint64_t>(mib * kMebi); };
  for (const auto& one : seen) {
    pass(1);
    memory().current_bytes = bytes(one.size);
    memory().available_bytes = bytes(one.total);
    memory().usable_bytes = bytes(one.usable);
    memory().updated_s = sample_.wall_s;
    const MemoryReading reading = look();
    EXPECT_LT(reading.growth / kMebi, 3) << one.size;
    EXPECT_NEAR(static_cast<double>(mib(reading.used)), 140, 20) << "36 MiB lie in lists at times";
    if (one.asked > 0) meter_.asked("a", one.asked * kMebi);
  }
}

// Nothing is under way for ever: after 3 s sizes count alone.
TEST_F(MemoryMeterTest, AWishThatIsNotObeyedHidesNoGrowth) {
  report_of(300, 512, 2024);
  look();
  meter_.asked("a", 412 * kMebi);
  pass(4);
  report_of(380, 512, 2024);
  EXPECT_EQ(mib(look().used), 380);
  EXPECT_NEAR(look().growth / kMebi, 20, 0.1);
}

// A first look at a balloon on its way takes a wrong gap; at rest it is corrected, and that the
// figures change is no growth.
TEST_F(MemoryMeterTest, CorrectsAtRestWhatItLearnedInMotion) {
  for (const std::uint64_t shown : {600, 450}) {
    SCOPED_TRACE(shown);
    meter_ = MemoryMeter(1);
    size(shown);
    report_of(300, 520, 496);  // the size is of a second ago
    look();
    for (int i = 0; i < 4; ++i) {
      pass(2);
      size(500);
      report_of(300, 500, 476);
      EXPECT_LT(look().growth, kMebi);
    }
    EXPECT_EQ(mib(look().used), 300);
  }
}

// Memory is plugged, and MemTotal moves once; the balloon moves, and it does not.
TEST_F(MemoryMeterTest, UnlearnsThatMemTotalFollows) {
  const auto rest = [&](std::uint64_t size_mib, std::uint64_t total_mib) {
    size(size_mib);
    for (int i = 0; i < 4; ++i) {
      pass(2);
      report_of(300, size_mib, total_mib);
      look();
    }
  };
  rest(512, 2000);
  rest(512, 2024);
  rest(400, 2024);
  pass(2);
  size(350);
  report_of(300, 350, 2024);
  EXPECT_EQ(mib(look().used), 300);
  pass(20);
  report_of(300, 350, 2024);
  EXPECT_EQ(mib(look().used), 300);
}

TEST_F(MemoryMeterTest, PagingIsWhatComesBackAndIsForgottenSlowly) {
  report(60);
  memory().swap_in_bytes = 500 * kMebi;
  memory().major_faults = 7;
  EXPECT_EQ(look().paging, 0) << "what was before is not known";
  pass(2);
  report(60);
  *memory().swap_in_bytes += 20 * kMebi;
  EXPECT_NEAR(look().paging / kMebi, 10, 0.1);
  for (int i = 0; i < 4; ++i) {
    pass(2);
    report(60);
    look();
  }
  EXPECT_NEAR(look().paging / kMebi, 5, 0.1) << "half after 8 s";
  pass(2);
  report(60);
  *memory().major_faults += 40 * 256;
  EXPECT_NEAR(look().paging / kMebi, 20, 0.1) << "a page each, without a swap device";
}

TEST_F(MemoryMeterTest, BoundsPaging) {
  report(60);
  memory().swap_in_bytes = UINT64_MAX;
  memory().major_faults = 0;
  look();
  for (const std::uint64_t value : {std::uint64_t{0}, UINT64_MAX}) {
    pass(2);
    report(60);
    memory().swap_in_bytes = value;
    memory().major_faults = UINT64_MAX - value;
    EXPECT_GE(look().paging, 0);
    EXPECT_LE(look().paging, 1024.0 * kMebi);
  }
}

TEST_F(MemoryMeterTest, BoundsWhatAGuestSays) {
  memory().available_bytes = UINT64_MAX;
  memory().unused_bytes = UINT64_MAX;
  memory().rss_bytes = UINT64_MAX;
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
