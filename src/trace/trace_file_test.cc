// SPDX-License-Identifier: Apache-2.0
#include "trace/trace_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/testing_full_disk.h"
#include "trace/testing_difference.h"
#include "trace/testing_planted.h"

namespace fairlead::trace {
namespace {

using base::ErrorKind;

class TraceFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (std::filesystem::temp_directory_path() / "fl-trace-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    path_ = folder + "/t.flt";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // One tick is one nanosecond; the trace begins at stamp 1000.
  TraceFileWriter writer() {
    auto made = TraceFileWriter::create(path_, {.wall_ns = 5, .stamp = 1000, .hz = 1'000'000'000});
    EXPECT_TRUE(made);
    return *std::move(made);
  }
  static abi::BlockEvent event(std::uint64_t sector) {
    abi::BlockEvent event{};
    event.sector = sector;
    event.action = 1;
    return event;
  }
  Trace read() {
    auto trace = read_trace(path_);
    EXPECT_TRUE(trace) << (trace ? "" : trace.error().message());
    return trace ? *std::move(trace) : Trace{};
  }
  ErrorKind refused() {
    const auto trace = read_trace(path_);
    EXPECT_FALSE(trace);
    return trace ? ErrorKind::kIo : trace.error().kind();
  }
  std::string bytes() { return *base::read_file(path_, 1 << 20); }
  void put(const std::string& bytes) { std::ofstream(path_, std::ios::trunc) << bytes; }

  std::string folder_;
  std::string path_;
};

TEST_F(TraceFileTest, WhatIsWrittenIsReadInOrderOfTime) {
  TraceFileWriter file = writer();
  const auto host = file.add_source(SourceKind::kHost, "host", false);
  const auto service = file.add_source(SourceKind::kService, "block", false);
  file.event(host, 3, 1300, event(7));
  file.event(service, 0, 1100, event(8));
  file.name(host, {.pid = 42, .name = "dd", .reserved = {}});
  file.device(host, {.device = 7 << 20, .name = "loop0"});
  file.loss(host, 3,
            {.records = 5,
             .bytes = 320,
             .first_stamp = 1200,
             .last_stamp = 1250,
             .cause = abi::TraceLossCause::kKernel,
             .reserved = {}});
  ASSERT_TRUE(file.end());
  const Trace trace = read();
  EXPECT_FALSE(trace.cut);
  EXPECT_EQ(trace.wall_start_ns, 5);
  ASSERT_EQ(trace.events.size(), 2U);
  EXPECT_EQ(trace.events[0].time_ns, 100);
  EXPECT_EQ(trace.events[0].source, service);
  EXPECT_EQ(trace.events[1].time_ns, 300);
  EXPECT_EQ(trace.events[1].stream, 3U);
  EXPECT_EQ(trace.events[1].block.sector, 7U);
  ASSERT_EQ(trace.losses.size(), 1U);
  EXPECT_EQ(trace.losses[0].first_ns, 200);
  EXPECT_EQ(trace.losses[0].last_ns, 250);
  EXPECT_EQ(trace.lost(), 5U);
  ASSERT_EQ(trace.names.size(), 1U);
  EXPECT_EQ(trace.names[0].name, "dd");
  ASSERT_EQ(trace.devices.size(), 1U);
  EXPECT_EQ(trace.devices[0].name, "loop0");
}

TEST_F(TraceFileTest, ALossOfUnknownTimesIsAsLongAsTheTrace) {
  TraceFileWriter file = writer();
  const auto host = file.add_source(SourceKind::kHost, "host", false);
  file.event(host, 0, 1100, event(7));
  file.event(host, 0, 1300, event(8));
  for (const auto& [first, last] : {std::pair{0, 1250}, {1200, 0}, {0, 0}, {0, 1050}}) {
    file.loss(host, 0,
              {.records = 1,
               .bytes = 64,
               .first_stamp = static_cast<std::uint64_t>(first),
               .last_stamp = static_cast<std::uint64_t>(last),
               .cause = abi::TraceLossCause::kKernel,
               .reserved = {}});
  }
  ASSERT_TRUE(file.end());
  std::vector<std::pair<std::int64_t, std::int64_t>> losses;
  for (const Loss& loss : read().losses) losses.emplace_back(loss.first_ns, loss.last_ns);
  using testing::Pair;
  EXPECT_THAT(losses, testing::UnorderedElementsAre(Pair(100, 250), Pair(200, 300), Pair(100, 300),
                                                    Pair(50, 50)));
}

TEST_F(TraceFileTest, AGuestsTimesAreCorrectedByTheTightestOfItsEpoch) {
  TraceFileWriter file = writer();
  const auto guest = file.add_source(SourceKind::kGuest, "aos_1", true);
  file.event(guest, 0, 501'100, event(1));
  file.clock(guest,
             {.offset_ticks = 500'040, .half_width_ticks = 50, .at_stamp = 1200, .epoch = 0});
  file.event(guest, 0, 501'300, event(2));
  file.clock(guest, {.offset_ticks = 500'000, .half_width_ticks = 3, .at_stamp = 1400, .epoch = 0});
  ASSERT_TRUE(file.end());
  const Trace trace = read();
  ASSERT_EQ(trace.events.size(), 2U);
  EXPECT_EQ(trace.events[0].time_ns, 100);
  EXPECT_EQ(trace.events[1].time_ns, 300);
  EXPECT_EQ(trace.sources[guest].bound_ns, 3);
  EXPECT_TRUE(trace.sources[guest].clock_known);
  EXPECT_TRUE(trace.sources[guest].steps.empty());
}

TEST_F(TraceFileTest, AStepBeginsAnEpoch) {
  TraceFileWriter file = writer();
  const auto guest = file.add_source(SourceKind::kGuest, "aos_1", true);
  file.clock(guest, {.offset_ticks = 500, .half_width_ticks = 2, .at_stamp = 1100, .epoch = 0});
  file.event(guest, 0, 1650, event(1));
  file.clock(guest, {.offset_ticks = 500, .half_width_ticks = 1, .at_stamp = 1200, .epoch = 0});
  file.event(guest, 0, 9300, event(2));  // somewhere before it the clock stepped
  file.clock(guest, {.offset_ticks = 8000, .half_width_ticks = 7, .at_stamp = 1400, .epoch = 1});
  file.event(guest, 0, 9500, event(3));
  ASSERT_TRUE(file.end());
  const Trace trace = read();
  ASSERT_EQ(trace.events.size(), 3U);
  EXPECT_EQ(trace.events[0].time_ns, 150);
  EXPECT_EQ(trace.events[1].time_ns, 300);
  EXPECT_EQ(trace.events[2].time_ns, 500);
  ASSERT_EQ(trace.sources[guest].steps.size(), 1U);
  EXPECT_EQ(trace.sources[guest].steps[0].from_ns, 200);
  EXPECT_EQ(trace.sources[guest].steps[0].to_ns, 400);
  EXPECT_EQ(trace.sources[guest].bound_ns, 7);
}

TEST_F(TraceFileTest, AClockThatWasNeverMeasuredIsSaidToBeUnknown) {
  TraceFileWriter file = writer();
  const auto guest = file.add_source(SourceKind::kGuest, "aos_1", true);
  file.event(guest, 0, 7, event(1));
  ASSERT_TRUE(file.end());
  EXPECT_FALSE(read().sources[guest].clock_known);
}

TEST_F(TraceFileTest, WithoutItsEndItIsCutAndRead) {
  TraceFileWriter file = writer();
  const auto host = file.add_source(SourceKind::kHost, "host", false);
  file.event(host, 0, 1100, event(1));
  file.event(host, 0, 1200, event(2));
  ASSERT_TRUE(file.flush());
  put(bytes().substr(0, bytes().size() - 20));  // in the midst of a record
  const Trace trace = read();
  EXPECT_TRUE(trace.cut);
  EXPECT_EQ(trace.events.size(), 1U);
}

TEST_F(TraceFileTest, WhatNoWriterWritesIsRefused) {
  TraceFileWriter file = writer();
  const auto host = file.add_source(SourceKind::kHost, "host", false);
  file.event(host, 0, 1100, event(1));
  ASSERT_TRUE(file.end());
  const std::string good = bytes();
  const auto spoil = [&](std::size_t at, char byte) {
    std::string bad = good;
    bad[at] = byte;
    put(bad);
    return refused();
  };
  EXPECT_EQ(spoil(0, 'X'), ErrorKind::kCorrupt);
  EXPECT_EQ(spoil(8, 9), ErrorKind::kUnsupported);
  EXPECT_EQ(spoil(64, 99), ErrorKind::kCorrupt);          // kind of the first record
  EXPECT_EQ(spoil(64 + 2, 5), ErrorKind::kCorrupt);       // its source
  EXPECT_EQ(spoil(64 + 16, 77), ErrorKind::kCorrupt);     // the source's kind
  EXPECT_EQ(spoil(2 * 64 + 2, 5), ErrorKind::kCorrupt);   // an event of nobody
  EXPECT_EQ(spoil(3 * 64 + 16, 9), ErrorKind::kCorrupt);  // the end's count
  put(good + good.substr(64, 64));
  EXPECT_EQ(refused(), ErrorKind::kCorrupt);
  put(good);
  EXPECT_TRUE(read_trace(path_));
  put("");
  EXPECT_EQ(refused(), ErrorKind::kCorrupt);
}

TEST_F(TraceFileTest, ATraceThatIsWrittenComesBackEqual) {
  for (const std::string_view loss : {"none", "middle", "tail", "all"}) {
    Trace trace = Planter({.requests = 40, .guest = true, .ids = true, .loss = loss}).plant();
    for (ProcessName& one : trace.names)
      one.name.resize(std::min<std::size_t>(one.name.size(), 16));
    ASSERT_TRUE(write_trace(trace, path_));
    EXPECT_EQ(difference(trace, read()), "") << loss;
  }
}

TEST_F(TraceFileTest, AFullDiskIsTold) {
  auto file = TraceFileWriter::create("/dev/full", {.wall_ns = 0, .stamp = 1, .hz = 1});
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->flush());
  const Trace trace = Planter({.requests = 400, .guest = true, .ids = true}).plant();
  const base::FullDisk full(8192);
  EXPECT_FALSE(write_trace(trace, path_));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(TraceFileTest, WhatStoodThereStaysUntilThereIsSomethingNew) {
  writer();
  EXPECT_FALSE(std::filesystem::exists(path_));
  ASSERT_TRUE(writer().end());
  const std::string old = bytes();
  writer();
  EXPECT_EQ(bytes(), old);
}

TEST_F(TraceFileTest, HasOneWriter) {
  TraceFileWriter first = writer();
  ASSERT_TRUE(first.flush());
  const auto second = TraceFileWriter::create(path_, {.wall_ns = 0, .stamp = 1, .hz = 1});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kBusy);
  ASSERT_TRUE(first.end());
  EXPECT_FALSE(read().cut);
}

TEST_F(TraceFileTest, ReplacesNothingButARecording) {
  const auto kind = [&] {
    const auto file = TraceFileWriter::create(path_, {.wall_ns = 0, .stamp = 1, .hz = 1});
    return file ? ErrorKind::kIo : file.error().kind();
  };
  put("of somebody");
  EXPECT_EQ(kind(), ErrorKind::kExists);
  EXPECT_EQ(bytes(), "of somebody");
  put("short");
  EXPECT_EQ(kind(), ErrorKind::kExists);
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(kind(), ErrorKind::kInvalid);
  EXPECT_EQ(refused(), ErrorKind::kInvalid);  // nor does a reader wait for one
}

TEST_F(TraceFileTest, MoreThanAllLossesAreAllThatThereCanBe) {
  TraceFileWriter file = writer();
  const auto guest = file.add_source(SourceKind::kGuest, "aos_1", false);
  for (int i = 0; i < 3; ++i) {
    file.loss(guest, 0, {UINT64_MAX - 1, 0, 1100, 1200, abi::TraceLossCause::kFull, {}});
  }
  EXPECT_EQ(file.lost(), UINT64_MAX);
  ASSERT_TRUE(file.end());
  EXPECT_EQ(read().lost(), UINT64_MAX);
}

TEST_F(TraceFileTest, StampsBeyondAllTimesSaturate) {
  TraceFileWriter file = writer();
  const auto host = file.add_source(SourceKind::kHost, "host", false);
  file.event(host, 0, ~std::uint64_t{0}, event(1));
  file.event(host, 0, 0, event(2));
  ASSERT_TRUE(file.end());
  const Trace trace = read();
  EXPECT_EQ(trace.events[0].time_ns, -1000);
  EXPECT_EQ(trace.events[1].time_ns, kLatest);
}

}  // namespace
}  // namespace fairlead::trace
