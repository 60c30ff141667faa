// SPDX-License-Identifier: Apache-2.0
#include "apps/request_file.h"

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "trace/blktrace_file.h"
#include "trace/testing_builder.h"
#include "trace/trace_file.h"

namespace fairlead::apps {
namespace {

using testing::HasSubstr;

constexpr std::uint32_t kDevice = 8 << 20;

// Two bios that go to the disk as one request, and a write that fails.
trace::TraceBuilder planted() {
  trace::TraceBuilder builder;
  const auto host = builder.source(trace::SourceKind::kHost, "host");
  builder.of(host, kDevice).by(71);
  builder.read(100, 8).at(1000).queue().by(72).read(108, 8).at(2000).queue();
  builder.read(100, 16).at(5000).issue().at(9000).complete();
  builder.by(71).write(7, 1).whole(9500, 9600, 9700);
  return builder;
}

void expect_planted(const base::Result<disk::RequestTrace>& trace) {
  ASSERT_TRUE(trace) << trace.error().message();
  ASSERT_EQ(trace->requests.size(), 3U);
  const disk::RecordedRequest& first = trace->requests[0];
  const disk::RecordedRequest& second = trace->requests[1];
  EXPECT_EQ(first.sector, 100U);
  EXPECT_EQ(second.sector, 108U);
  EXPECT_EQ(second.sector_count, 8U);
  EXPECT_EQ(second.arrived_ns - first.arrived_ns, 1000);
  EXPECT_EQ(first.dispatched_ns - first.arrived_ns, 4000);
  EXPECT_EQ(second.ended_ns - second.dispatched_ns, 4000);
  EXPECT_EQ(first.owner, 71U);
  EXPECT_EQ(second.owner, 72U);
  EXPECT_EQ(trace->requests[2].op, disk::IoOp::kWrite);
  EXPECT_EQ(trace->requests[2].number, 2U);
}

TEST(RequestFile, ARequestIsWhatWasAskedForWithTheServiceOfWhatCarriedIt) {
  expect_planted(requests_of(planted().trace(), "planted"));
}

TEST(RequestFile, BlktracesFilesAndRecordingsTellTheSame) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / "fl-request-file";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const std::string prefix = folder / "trace";
  ASSERT_TRUE(trace::write_blktrace(planted().trace(), prefix));
  expect_planted(read_requests(prefix));
  expect_planted(read_requests(prefix + ".blktrace.0"));
  ASSERT_TRUE(trace::write_trace(planted().trace(), folder / "trace.flt"));
  expect_planted(read_requests(folder / "trace.flt"));
  const auto none = read_requests(folder / "none");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message(), HasSubstr("No such file"));
  std::filesystem::remove_all(folder);
}

TEST(RequestFile, SeveralDevicesAreRefused) {
  trace::TraceBuilder builder = planted();
  builder.of(0, kDevice + 16).read(1, 1).whole(1, 2, 3);
  const auto refused = requests_of(builder.trace(), "t");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("t: requests of several devices"));
  EXPECT_FALSE(requests_of({}, "empty"));
}

}  // namespace
}  // namespace fairlead::apps
