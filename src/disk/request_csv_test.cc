// SPDX-License-Identifier: Apache-2.0
#include "disk/request_csv.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead::disk {
namespace {

using testing::HasSubstr;

base::Result<RequestTrace> read_csv(const std::string& text, std::size_t piece = 1 << 20) {
  RequestCsv csv("t.csv");
  for (std::size_t at = 0; at < text.size(); at += piece) {
    FL_TRY_STATUS(csv.take(std::string_view(text).substr(at, piece)));
  }
  return std::move(csv).finish();
}

std::string why_not_csv(const std::string& text) {
  const auto trace = read_csv(text);
  return trace ? "" : trace.error().message();
}

TEST(RequestCsv, ReadsWhatItWrites) {
  std::string text(kRequestCsvHeader);
  append_csv(text, {.request = {.sector = 8, .sector_count = 16, .op = IoOp::kWrite, .owner = 3},
                    .number = 1,
                    .arrived_ns = 20,
                    .dispatched_ns = 30,
                    .ended_ns = 47,
                    .hit = true});
  append_csv(text, {.request = {.sector = 1, .sector_count = 2}, .ended_ns = 90});
  for (const std::size_t piece : {1U, 7U, 4096U}) {
    const auto trace = read_csv(text, piece);
    ASSERT_TRUE(trace) << trace.error().message();
    ASSERT_EQ(trace->requests.size(), 2U);
    EXPECT_EQ(trace->owners, 4U);
    const RecordedRequest& later = trace->requests[1];
    EXPECT_EQ(trace->requests[0].sector, 1U) << "in order of number";
    EXPECT_EQ(later.sector, 8U);
    EXPECT_EQ(later.sector_count, 16U);
    EXPECT_EQ(later.op, IoOp::kWrite);
    EXPECT_EQ(later.owner, 3U);
    EXPECT_EQ(later.arrived_ns, 20);
    EXPECT_EQ(later.dispatched_ns, 30);
    EXPECT_EQ(later.ended_ns, 47);
    EXPECT_EQ(later.line, 2U);
  }
}

TEST(RequestCsv, TakesUnitsAndTimesFromWhateverTellsThem) {
  const auto trace = read_csv(
      "# a comment\r\nsector,time_s,sectors,service_us,response_ms,op,process\r\n\n"
      "5,1.5,8,100,0.25,R,7\n6,2,8,100,1,W,7");
  ASSERT_TRUE(trace) << trace.error().message();
  const RecordedRequest& one = trace->requests[0];
  EXPECT_EQ(one.arrived_ns, 1'500'000'000);
  EXPECT_EQ(one.dispatched_ns, 1'500'150'000);
  EXPECT_EQ(one.ended_ns, 1'500'250'000);
  EXPECT_EQ(trace->requests[1].op, IoOp::kWrite);
  EXPECT_TRUE(one.served());
  const auto at_once = read_csv("time_ns,sector,sectors,service_ns\n10,0,1,5\n");
  ASSERT_TRUE(at_once);
  EXPECT_EQ(at_once->requests[0].dispatched_ns, 10);
  EXPECT_EQ(at_once->requests[0].ended_ns, 15);
  EXPECT_FALSE(read_csv("time_ns,sector,sectors\n10,0,1\n")->requests[0].served());
}

TEST(RequestCsv, NumbersOfProcessesThatAreLargeAreGivenOutAnew) {
  const auto trace =
      read_csv("time_ns,sector,sectors,owner\n1,0,1,4000000000\n2,0,1,9\n3,0,1,4000000000\n");
  ASSERT_TRUE(trace);
  EXPECT_EQ(trace->owners, 2U);
  EXPECT_EQ(trace->requests[0].owner, trace->requests[2].owner);
  EXPECT_NE(trace->requests[0].owner, trace->requests[1].owner);
}

TEST(RequestCsv, WhatIsWrongNamesFileAndLine) {
  const std::string head = "time_ns,sector,sectors\n";
  EXPECT_EQ(why_not_csv(""), "t.csv: no request is in it");
  EXPECT_EQ(why_not_csv(head), "t.csv: no request is in it");
  EXPECT_THAT(why_not_csv("time_ns,lba,sectors\n"),
              HasSubstr("t.csv line 1: no column 'lba' is known; there is number"));
  EXPECT_THAT(why_not_csv("time,sector,sectors\n"), HasSubstr("no column 'time' is known"));
  EXPECT_THAT(why_not_csv("time_ns,sector\n"), HasSubstr("t.csv line 1: no column sectors"));
  EXPECT_THAT(why_not_csv("time_ns,arrived_s,sector,sectors\n"), HasSubstr("told already"));
  EXPECT_THAT(why_not_csv(head + "1,2\n"), HasSubstr("line 2: 2 cells where 3 are expected"));
  EXPECT_THAT(why_not_csv(head + "1,2,3,4\n"), HasSubstr("line 2: more cells than columns"));
  EXPECT_THAT(why_not_csv(head + "1,2,0\n"), HasSubstr("line 2: sectors: "));
  EXPECT_THAT(why_not_csv(head + "1,x,8\n"), HasSubstr("line 2: sector: "));
  EXPECT_THAT(why_not_csv("time_ns,sector,sectors,op\n1,2,3,flush\n"),
              HasSubstr("line 2: op: 'flush' is neither read nor write"));
  EXPECT_THAT(why_not_csv(head + "5,0,1\n4,0,1\n"),
              HasSubstr("t.csv line 3: time runs backwards, from 5 ns to 4 (sort"));
  EXPECT_THAT(why_not_csv("number,time_ns,sector,sectors\n1,5,0,1\n1,6,0,1\n"),
              HasSubstr("line 3: number 1 is there twice"));
  EXPECT_THAT(why_not_csv("time_ns,sector,sectors,ended_ns\n5,0,1,4\n"),
              HasSubstr("line 2: time runs backwards"));
  EXPECT_THAT(why_not_csv(std::string(5000, 'x')), HasSubstr("t.csv line 1: a line of more than"));
}

TEST(RequestTrace, ARequestPastTheEndIsRefused) {
  const auto trace = read_csv("time_ns,sector,sectors\n1,0,8\n2,96,8\n");
  ASSERT_TRUE(trace);
  EXPECT_TRUE(fits(*trace, 104, "a disk"));
  const auto refused = fits(*trace, 103, "a disk");
  ASSERT_FALSE(refused);
  EXPECT_THAT(
      refused.error().message(),
      HasSubstr("t.csv line 3: sectors 96 to 103 are past the end of a disk, which has 103"));
}

}  // namespace
}  // namespace fairlead::disk
