// SPDX-License-Identifier: Apache-2.0
#include "trace/chrome_json.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/testing_full_disk.h"
#include "trace/testing_planted.h"

namespace fairlead::trace {
namespace {

using Json = nlohmann::json;

Json chrome_json(const Trace& trace) {
  const base::Fd memory(::memfd_create("chrome", MFD_CLOEXEC));
  const auto written = write_chrome_json(trace, memory.get());
  EXPECT_TRUE(written) << written.error().message();
  std::string text(static_cast<std::size_t>(::lseek(memory.get(), 0, SEEK_CUR)), '\0');
  EXPECT_EQ(::pread(memory.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  const Json json = Json::parse(text, nullptr, false);
  EXPECT_FALSE(json.is_discarded());
  return json;
}

std::int64_t ns_of(const Json& event) { return std::llround(event["ts"].get<double>() * 1000); }

// Lengths of the slices of each name.
std::map<std::string, std::vector<std::int64_t>> slices_of(const Json& json) {
  std::map<std::string, const Json*> begun;
  std::map<std::string, std::vector<std::int64_t>> slices;
  for (const Json& event : json["traceEvents"]) {
    if (event["ph"] == "b") begun[event["id"]] = &event;
    if (event["ph"] != "e") continue;
    const Json& begin = *begun.at(event["id"]);
    EXPECT_EQ(begin["name"], event["name"]);
    EXPECT_EQ(begin["pid"], event["pid"]);
    slices[event["name"]].push_back(ns_of(event) - ns_of(begin));
    begun.erase(event["id"]);
  }
  EXPECT_TRUE(begun.empty());
  return slices;
}

std::vector<Json> of_phase(const Json& json, const std::string& phase) {
  std::vector<Json> found;
  for (const Json& event : json["traceEvents"]) {
    if (event["ph"] == phase) found.push_back(event);
  }
  return found;
}

TEST(ChromeJson, ARequestIsTheSlicesThatWerePlanted) {
  for (const bool ids : {false, true}) {
    const Json json = chrome_json(Planter({300, true, ids, "none"}).plant());
    const auto slices = slices_of(json);
    using Lengths = std::vector<std::int64_t>;
    EXPECT_EQ(slices.size(), 6u);
    EXPECT_EQ(slices.at("loop0 queue"), Lengths(300, 1'100 + 700 + 2'300));
    EXPECT_EQ(slices.at("loop0 read"), Lengths(200, 51'000));
    EXPECT_EQ(slices.at("loop0 write"), Lengths(100, 51'000));
    EXPECT_EQ(slices.at("vda queue"), Lengths(300, 4'000));
    EXPECT_EQ(slices.at("vda read"), Lengths(200, 6'000 + 300 + 4'100 + 51'000 + 500));
    EXPECT_EQ(json["otherData"]["requests"], 600);
    EXPECT_EQ(json["otherData"]["without_end"], 0);
    EXPECT_EQ(json["otherData"]["without_begin"], 0);
  }
}

// By id from its D to the host's Q, or by the remap.
TEST(ChromeJson, ArrowsLeadFromGuestToHost) {
  for (const bool ids : {false, true}) {
    Trace trace = Planter({30, true, ids, "none"}).plant();
    if (ids)
      std::erase_if(trace.events, [](const Event& e) { return e.act() == abi::BlockAct::kRemap; });
    const Json json = chrome_json(trace);
    const auto starts = of_phase(json, "s");
    const auto ends = of_phase(json, "f");
    ASSERT_EQ(starts.size(), 30u) << ids;
    ASSERT_EQ(ends.size(), 30u);
    for (std::size_t i = 0; i < 30; ++i) {
      EXPECT_EQ(starts[i]["id"], ends[i]["id"]);
      EXPECT_EQ(starts[i]["pid"], 2);
      EXPECT_EQ(ends[i]["pid"], 1);
      EXPECT_EQ(ns_of(ends[i]) - ns_of(starts[i]), ids ? 6'300 : 6'000);
    }
    EXPECT_EQ(of_phase(json, "X").size(), 60u);  // what they hang on
  }
}

TEST(ChromeJson, ALossIsShownAndNoSliceLeadsAcrossIt) {
  Trace trace = Planter({2, false, true, "none"}).plant();
  const std::int64_t first_issue_ns = 1'000 + 4'100;
  trace.losses.push_back(
      {first_issue_ns + 1, first_issue_ns + 2, 3, 0, 0, 1, abi::TraceLossCause::kFull});
  const Json json = chrome_json(trace);
  const auto losses = of_phase(json, "i");
  ASSERT_EQ(losses.size(), 1u);
  EXPECT_EQ(losses[0]["name"], "lost 3");
  EXPECT_EQ(losses[0]["args"]["cause"], "full");
  EXPECT_EQ(slices_of(json).at("loop0 read").size(), 1u);  // the second
  EXPECT_EQ(json["otherData"]["lost"], 3);
  EXPECT_EQ(json["otherData"]["without_end"], 1);
  EXPECT_EQ(json["otherData"]["without_begin"], 1);
}

TEST(ChromeJson, NoSliceLeadsAcrossAJumpOfTheClock) {
  Trace trace = Planter({1, false, true, "none"}).plant();
  trace.sources[0].steps = {{1'000 + 4'100 + 1, 1'000 + 4'100 + 2}};
  const Json json = chrome_json(trace);
  EXPECT_EQ(slices_of(json).size(), 1u);  // only that of the queue
  EXPECT_EQ(json["otherData"]["without_end"], 1);
}

// A trace of a host, without ids.
class HostTrace {
 public:
  HostTrace() { trace_.sources.push_back({SourceKind::kHost, "host", 0, true, {}}); }
  void add(std::int64_t time_ns, abi::BlockAct act, std::uint64_t sector = 0,
           std::uint32_t bytes = 512) {
    Event event;
    event.time_ns = time_ns;
    event.block.action = std::uint32_t(act) | 0x10000;
    event.block.bytes = bytes;
    event.block.sector = sector;
    trace_.events.push_back(event);
  }
  std::map<std::string, std::vector<std::int64_t>> slices() const {
    return slices_of(chrome_json(trace_));
  }

 private:
  Trace trace_;
};

// Two requests of one place at once, and one that joined another: none takes another's time.
TEST(ChromeJson, RequestsOfOnePlaceAreServedInOrder) {
  HostTrace trace;
  using enum abi::BlockAct;
  trace.add(0, kQueue);
  trace.add(10, kQueue);
  trace.add(15, kQueue);
  trace.add(16, kBackMerge);
  trace.add(100, kIssue);
  trace.add(130, kIssue);
  trace.add(135, kRequeue);
  trace.add(150, kIssue);
  trace.add(1100, kComplete);
  trace.add(1400, kComplete);
  const auto slices = trace.slices();
  EXPECT_EQ(slices.at("0,0 queue"), (std::vector<std::int64_t>{100, 120}));
  EXPECT_EQ(slices.at("0,0 read"), (std::vector<std::int64_t>{1000, 1250}));
}

TEST(ChromeJson, RequestsOfTwoPlacesEndInAnyOrder) {
  HostTrace trace;
  using enum abi::BlockAct;
  trace.add(0, kQueue, 0);
  trace.add(1, kQueue, 8);
  trace.add(10, kIssue, 8);
  trace.add(20, kIssue, 0);
  trace.add(30, kComplete, 0);
  trace.add(100, kComplete, 8);
  const auto slices = trace.slices();
  EXPECT_EQ(slices.at("0,0 queue"), (std::vector<std::int64_t>{9, 20}));
  EXPECT_EQ(slices.at("0,0 read"), (std::vector<std::int64_t>{10, 90}));
}

TEST(ChromeJson, WhatWasMergedInFrontWaitsNoLongerThanItsRequest) {
  HostTrace trace;
  using enum abi::BlockAct;
  trace.add(0, kQueue, 1);
  trace.add(10, kQueue, 0);
  trace.add(11, kFrontMerge, 0);
  trace.add(20, kIssue, 0, 1024);
  trace.add(30, kComplete, 0, 1024);
  trace.add(500, kQueue, 1);
  trace.add(510, kIssue, 1);
  trace.add(520, kComplete, 1);
  const auto slices = trace.slices();
  EXPECT_EQ(slices.at("0,0 queue"), (std::vector<std::int64_t>{20, 10}));
  EXPECT_EQ(slices.at("0,0 read"), (std::vector<std::int64_t>{10, 10}));
}

TEST(ChromeJson, TwoClientsWithOneIdAreTwo) {
  Trace trace;
  trace.sources.push_back({SourceKind::kService, "block", 0, true, {}});
  const auto add = [&](std::int64_t time_ns, abi::BlockAct act, std::uint16_t queue) {
    Event event;
    event.time_ns = time_ns;
    event.block.action = std::uint32_t(act) | 0x10000;
    event.block.request = 7;
    event.block.queue = queue;
    trace.events.push_back(event);
  };
  using enum abi::BlockAct;
  add(0, kIssue, 1);
  add(100, kIssue, 2);
  add(110, kComplete, 2);
  add(300, kComplete, 1);
  EXPECT_EQ(slices_of(chrome_json(trace)).at("0,0 read"), (std::vector<std::int64_t>{10, 300}));
}

TEST(ChromeJson, NoSliceLiesWithinAGap) {
  Trace trace = Planter({1, false, true, "none"}).plant();
  trace.losses.push_back({0, 90'000'000, 3, 0, 0, 1, abi::TraceLossCause::kFull});
  const Json json = chrome_json(trace);
  EXPECT_TRUE(slices_of(json).empty());
  EXPECT_EQ(json["otherData"]["requests"], 0);
}

TEST(ChromeJson, NamesAreEscapedAndOfEveryone) {
  Trace trace = Planter({2, true, true, "middle"}).plant();
  trace.sources[1].name = "a \"guest\"\n\xff";
  const Json json = chrome_json(trace);
  std::vector<std::string> names;
  for (const Json& event : of_phase(json, "M")) names.push_back(event["args"]["name"]);
  EXPECT_EQ(names, (std::vector<std::string>{"host", "a \"guest\"?\xef\xbf\xbd", "cpu 0", "cpu 1",
                                             "cpu 0", "cpu 1"}));
}

TEST(ChromeJson, AnEmptyTraceIsWhole) { EXPECT_TRUE(chrome_json({})["traceEvents"].empty()); }

TEST(ChromeJson, AFileIsNewAndWholeOrNotThere) {
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("fl-chrome-{}", ::getpid())).string();
  const Trace trace = Planter({.requests = 300, .guest = true, .ids = true}).plant();
  {
    const base::FullDisk full(8192);
    EXPECT_FALSE(write_chrome_file(trace, path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(write_chrome_file(trace, path));
  const auto size = std::filesystem::file_size(path);
  const auto again = write_chrome_file({}, path);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), base::ErrorKind::kExists);
  EXPECT_EQ(std::filesystem::file_size(path), size);
  std::filesystem::remove(path);
  EXPECT_TRUE(write_chrome_file(trace, "/dev/null"));
}

TEST(ChromeJson, WhatCannotBeWrittenIsAnError) {
  const base::Fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full);
  EXPECT_FALSE(write_chrome_json(Planter({2, true, true, "none"}).plant(), full.get()));
}

}  // namespace
}  // namespace fairlead::trace
