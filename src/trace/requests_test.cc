// SPDX-License-Identifier: Apache-2.0
#include "trace/requests.h"

#include <gtest/gtest.h>

#include "trace/testing_builder.h"

namespace fairlead::trace {
namespace {

constexpr std::uint32_t kDisk = 7 << 20;

class RequestsTest : public ::testing::Test {
 protected:
  TraceBuilder& disk() { return planted_.of(host_, kDisk); }
  DeviceRequests find() {
    auto found = find_requests(planted_.trace());
    EXPECT_EQ(found.size(), 1U);
    return found.empty() ? DeviceRequests{} : std::move(found.front());
  }

  TraceBuilder planted_;
  const std::uint16_t host_ = planted_.source(SourceKind::kHost, "host");
};

TEST_F(RequestsTest, ABioIsFollowedFromQueueToCompletion) {
  disk().by(42).write(8, 16).whole(100, 150, 900);
  const DeviceRequests found = find();
  ASSERT_EQ(found.requests.size(), 1U);
  const Request& request = found.requests[0];
  EXPECT_EQ(request.issue_ns, 150);
  EXPECT_EQ(request.complete_ns, 900);
  EXPECT_EQ(request.sector, 8U);
  EXPECT_EQ(request.sectors, 16U);
  EXPECT_TRUE(request.writes);
  ASSERT_EQ(request.bios, 1U);
  EXPECT_EQ(found.bios[0].queue_ns, 100);
  EXPECT_EQ(found.bios[0].pid, 42U);
  EXPECT_EQ(found.queued + found.issued + found.completed, 3U);
  EXPECT_EQ(found.open_bios + found.open_requests + found.strange + found.unknown, 0U);
}

TEST_F(RequestsTest, MergedBiosShareTheirRequest) {
  disk().read(16, 8).at(100).queue();
  disk().read(24, 8).at(110).queue().at(111).back_merge();
  disk().read(8, 8).at(120).queue().at(121).front_merge();
  disk().read(8, 24).at(200).issue().at(500).complete();
  const DeviceRequests found = find();
  ASSERT_EQ(found.requests.size(), 1U);
  EXPECT_EQ(found.requests[0].bios, 3U);
  EXPECT_EQ(found.bios[0].queue_ns, 120);
  EXPECT_EQ(found.bios[1].queue_ns, 100);
  EXPECT_EQ(found.bios[2].queue_ns, 110);
  EXPECT_EQ(found.back_merges, 1U);
  EXPECT_EQ(found.front_merges, 1U);
  EXPECT_EQ(found.merged_sectors, 16U);
}

TEST_F(RequestsTest, ASplitBioIsTwoOfTheSameAge) {
  disk().read(0, 32).at(100).queue();
  disk().read(0, 0).at(105).split(16);  // as the kernel tells it
  disk().read(0, 16).at(110).issue().at(300).complete();
  disk().read(16, 16).at(120).issue().at(400).complete();
  const DeviceRequests found = find();
  ASSERT_EQ(found.requests.size(), 2U);
  ASSERT_EQ(found.bios.size(), 2U);
  EXPECT_EQ(found.bios[0].queue_ns, 100);
  EXPECT_EQ(found.bios[1].queue_ns, 100);
  EXPECT_EQ(found.bios[1].sector, 16U);
  EXPECT_EQ(found.splits, 1U);
  EXPECT_EQ(found.open_bios, 0U);
}

TEST_F(RequestsTest, ARequestThatComesBackInPartsIsCompleteWithTheLast) {
  disk().read(0, 32).at(100).queue().at(110).issue();
  disk().read(0, 8).at(200).complete();
  disk().read(8, 24).at(300).complete();
  const DeviceRequests found = find();
  ASSERT_EQ(found.requests.size(), 1U);
  EXPECT_EQ(found.requests[0].complete_ns, 300);
  EXPECT_EQ(found.strange, 0U);
}

TEST_F(RequestsTest, ARequeuedRequestCountsFromItsLastIssue) {
  disk().read(0, 8).at(100).queue().at(110).issue().at(120).requeue().at(150).issue();
  disk().at(300).complete();
  const DeviceRequests found = find();
  ASSERT_EQ(found.requests.size(), 1U);
  EXPECT_EQ(found.requests[0].issue_ns, 150);
  EXPECT_EQ(found.requests[0].bios, 1U);
  EXPECT_EQ(found.bios[0].queue_ns, 100);
  EXPECT_EQ(found.requeues, 1U);
}

TEST_F(RequestsTest, OfTwoOnOneSectorTheOlderComesBackFirst) {
  disk().read(0, 8).at(100).queue().at(110).issue().at(115).queue().at(120).issue();
  disk().at(300).complete().at(400).complete();
  const DeviceRequests found = find();
  ASSERT_EQ(found.requests.size(), 2U);
  EXPECT_EQ(found.requests[0].issue_ns, 110);
  EXPECT_EQ(found.requests[1].issue_ns, 120);
}

TEST_F(RequestsTest, OfTwoQueuedForOneSectorEachRequestHasOne) {
  disk().read(0, 8).at(100).queue().at(105).queue().at(110).issue().at(120).issue();
  disk().at(300).complete().at(400).complete();
  const DeviceRequests found = find();
  ASSERT_EQ(found.requests.size(), 2U);
  EXPECT_EQ(found.requests[0].bios, 1U);
  EXPECT_EQ(found.requests[1].bios, 1U);
  EXPECT_EQ(found.bios[0].queue_ns, 100);
  EXPECT_EQ(found.bios[1].queue_ns, 105);
}

TEST_F(RequestsTest, OfTwoIssuedTheYoungerIsRequeued) {
  disk().read(0, 8).at(100).queue().at(105).queue().at(110).issue().at(120).issue();
  disk().at(130).requeue().at(150).issue().at(300).complete().at(400).complete();
  const DeviceRequests found = find();
  ASSERT_EQ(found.requests.size(), 2U);
  EXPECT_EQ(found.requests[0].issue_ns, 110);
  EXPECT_EQ(found.requests[1].issue_ns, 150);
  EXPECT_EQ(found.bios[1].queue_ns, 105);
}

TEST_F(RequestsTest, ALostIssueBetweenTwoOfOneSectorGivesNoLatency) {
  disk().read(0, 8).whole(100, 110, 200);
  disk().at(1000).queue().at(1010).issue();  // its C is lost, and the next one's Q and D
  planted_.lose(host_, 1100, 91'000'000, 3);
  disk().at(92'000'000).complete();
  disk().whole(93'000'000, 93'000'010, 93'000'100);
  const DeviceRequests found = find();
  ASSERT_EQ(found.requests.size(), 2U);
  for (const Request& request : found.requests) {
    EXPECT_LE(request.complete_ns - request.issue_ns, 90);
  }
  EXPECT_EQ(found.unknown, 1U);
  EXPECT_EQ(found.strange, 1U);
}

TEST_F(RequestsTest, NothingThatTouchesAGapPairs) {
  disk().read(0, 8).at(100).queue().at(110).issue();
  disk().read(8, 8).at(250).queue().at(260).issue();  // within the gap
  planted_.lose(host_, 200, 300, 1);
  disk().read(0, 8).at(280).complete();   // within
  disk().read(64, 8).at(290).complete();  // of what was lost
  disk().read(8, 8).at(400).complete();   // after
  disk().read(16, 8).whole(500, 510, 600);
  const DeviceRequests found = find();
  ASSERT_EQ(found.requests.size(), 1U);
  EXPECT_EQ(found.requests[0].sector, 16U);
  EXPECT_EQ(found.unknown, 3U);
  EXPECT_EQ(found.strange, 1U);  // the one after: by then what it ends is forgotten
}

TEST_F(RequestsTest, AStepOfTheClockIsAGap) {
  planted_.trace().sources[host_].steps = {{200, 300}};
  disk().read(0, 8).whole(100, 110, 400);
  EXPECT_TRUE(find().requests.empty());
}

TEST_F(RequestsTest, AnothersLossIsNone) {
  const std::uint16_t other = planted_.source(SourceKind::kGuest, "guest");
  planted_.lose(other, 0, 1000, 5);
  disk().read(0, 8).whole(100, 110, 400);
  EXPECT_EQ(find().requests.size(), 1U);
}

TEST_F(RequestsTest, OfARingsRequestsTheIdTells) {
  disk().read(0, 1).id(7, 1).at(100).queue();
  disk().read(0, 1).id(7, 2).at(101).queue();  // another client's
  disk().read(0, 1).id(7, 2).at(110).issue().at(200).complete();
  disk().read(0, 1).id(7, 1).at(300).complete();  // from the cache: no D
  const DeviceRequests found = find();
  ASSERT_EQ(found.requests.size(), 2U);
  EXPECT_EQ(found.requests[0].queue, 2U);
  EXPECT_EQ(found.requests[0].issue_ns, 110);
  EXPECT_EQ(found.requests[1].issue_ns, kNever);
  EXPECT_EQ(found.bios[1].queue_ns, 100);
}

TEST_F(RequestsTest, WhatIsOpenAtTheEndIsCounted) {
  disk().read(0, 8).at(100).queue();
  disk().read(8, 8).at(110).queue().at(120).issue();
  disk().read(64, 8).at(130).complete();
  const DeviceRequests found = find();
  EXPECT_EQ(found.open_bios, 1U);
  EXPECT_EQ(found.open_requests, 1U);
  EXPECT_EQ(found.strange, 1U);
}

TEST_F(RequestsTest, AFlushWithoutSectorsDisturbsNobody) {
  disk().read(0, 8).at(100).queue().at(110).issue();
  disk().write(0, 0).at(120).queue().at(130).issue().at(140).complete();
  disk().read(0, 8).at(200).complete();
  const DeviceRequests found = find();
  ASSERT_EQ(found.requests.size(), 1U);
  EXPECT_EQ(found.requests[0].complete_ns, 200);
  EXPECT_EQ(found.open_bios + found.open_requests, 0U);
}

TEST(Gaps, AreMergedAndInOrder) {
  TraceBuilder planted;
  const std::uint16_t host = planted.source(SourceKind::kHost, "host");
  planted.lose(host, 50, 60, 1);
  planted.lose(host, 10, 20, 1);
  planted.lose(host, 15, 30, 1);
  const auto found = gaps(planted.trace(), host);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].from_ns, 10);
  EXPECT_EQ(found[0].to_ns, 30);
  EXPECT_FALSE(crosses(found, 31, 49));
  EXPECT_TRUE(crosses(found, 31, 50));
  EXPECT_TRUE(crosses(found, 30, 40));
  EXPECT_TRUE(crosses(found, 0, 100));
  EXPECT_FALSE(crosses(found, 61, 100));
}

}  // namespace
}  // namespace fairlead::trace
