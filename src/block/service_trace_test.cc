// SPDX-License-Identifier: Apache-2.0
//
// What a traced request leaves, and what of a client's marks is believed.
#include "block/service_trace.h"

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "block/testing_front.h"
#include "relay/consumer.h"
#include "relay/stamp.h"

namespace fairlead::block {
namespace {

constexpr std::uint32_t kTracedSlots = 8;
constexpr std::uint64_t kTracedGeneration = 42;

class ServiceTraceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto port = ClientPort::create({.number = 7, .weight = 1, .peer = {}, .name = "test"},
                                   {.slot_count = kTracedSlots,
                                    .request_bytes = sizeof(abi::BlockRequest),
                                    .response_bytes = sizeof(abi::BlockResponse),
                                    .data_bytes = 512},
                                   kTracedGeneration);
    ASSERT_TRUE(port);
    port_ = *std::move(port);
    auto front = RawFront::of(*port_, kTracedGeneration);
    ASSERT_TRUE(front);
    front_ = std::make_unique<RawFront>(*std::move(front));
    auto producer = relay::Producer::open({.streams = 1});
    ASSERT_TRUE(producer);
    producer_ = std::make_unique<relay::Producer>(*std::move(producer));
    trace_ = std::make_unique<ServiceTrace>(producer_.get());
  }

  void connect() {
    auto consumer = relay::Consumer::connect(base::Fd(::dup(producer_->fd())), producer_->bytes());
    ASSERT_TRUE(consumer);
    consumer_ = std::make_unique<relay::Consumer>(*std::move(consumer));
    EXPECT_TRUE(trace_->look());
    port_->want_marks(trace_->on());
  }

  // From the ring to the answer; a read of sector 99 with id 1003 in slot 3.
  void serve() {
    front_->push(front_->read_of(kSlot, 99));
    front_->publish();
    std::uint32_t slots[kTracedSlots];
    ASSERT_EQ(port_->take(slots, 100), 1);
    trace_->taken(*port_, kSlot);
    trace_->waits(*port_, kSlot);
    trace_->issued(*port_, kSlot);
    trace_->done(*port_, kSlot, 0);
    port_->answer(kSlot, abi::BlockStatus::kOk, 512);
    port_->publish();
  }
  void mark(std::uint64_t id, std::uint64_t called, std::uint64_t posted, std::uint64_t seen) {
    front_->map().marks[kSlot] = {id, called, posted, seen, {}};
  }

  struct Seen {
    std::uint64_t stamp;
    abi::BlockEvent block;
  };
  // Of one device; what else there was is gone then.
  std::vector<Seen> events(std::uint32_t device) {
    std::vector<Seen> events;
    relay::StreamPiece piece;
    while (*consumer_->read(piece) == relay::Look::kPiece) {
      for (std::size_t at = 0; at < piece.data.size(); at += 64) {
        abi::RelayRecord record;
        Seen seen;
        std::memcpy(&record, piece.data.data() + at, sizeof record);
        std::memcpy(&seen.block, piece.data.data() + at + sizeof record, sizeof seen.block);
        seen.stamp = record.stamp;
        if (seen.block.device == device) events.push_back(seen);
      }
      consumer_->take();
    }
    return events;
  }
  static std::string acts(const std::vector<Seen>& events) {
    std::string acts;
    for (const Seen& seen : events) {
      switch (abi::BlockAct(seen.block.action & 0xffff)) {
        case abi::BlockAct::kQueue: acts += 'Q'; break;
        case abi::BlockAct::kInsert: acts += 'I'; break;
        case abi::BlockAct::kIssue: acts += 'D'; break;
        case abi::BlockAct::kComplete: acts += 'C'; break;
        default: acts += '?';
      }
    }
    return acts;
  }

  static constexpr std::uint32_t kSlot = 3;
  static constexpr std::uint64_t kId = 1003;
  std::unique_ptr<ClientPort> port_;
  std::unique_ptr<RawFront> front_;
  std::unique_ptr<relay::Producer> producer_;
  std::unique_ptr<relay::Consumer> consumer_;
  std::unique_ptr<ServiceTrace> trace_;
};

TEST_F(ServiceTraceTest, OffItLeavesNothingAndWantsNothing) {
  EXPECT_FALSE(trace_->look());
  serve();
  EXPECT_EQ(front_->map().control->back.trace.load(), 0U);
  connect();
  EXPECT_EQ(front_->map().control->back.trace.load(), 1U);
  EXPECT_TRUE(events(abi::kServiceBackDevice).empty());
}

TEST_F(ServiceTraceTest, ARequestIsFollowedOnBothDevices) {
  connect();
  serve();
  const auto back = events(abi::kServiceBackDevice);
  EXPECT_EQ(acts(back), "QIDC");
  for (const Seen& seen : back) {
    EXPECT_EQ(seen.block.request, kId);
    EXPECT_EQ(seen.block.queue, 7U);
    EXPECT_EQ(seen.block.sector, 99U);
    EXPECT_EQ(seen.block.bytes, 512U);
  }
  mark(kId, 10, 20, 30);
  serve();  // in the same slot
  const auto front = events(abi::kServiceFrontDevice);
  EXPECT_EQ(acts(front), "QDC");
  EXPECT_EQ(front[0].stamp, 10U);
  EXPECT_EQ(front[1].stamp, 20U);
  EXPECT_EQ(front[2].stamp, 30U);
}

TEST_F(ServiceTraceTest, WhoLeavesHasToldTheLastOnce) {
  connect();
  serve();
  mark(kId, 10, 20, 30);
  trace_->left(*port_);
  EXPECT_EQ(acts(events(abi::kServiceFrontDevice)), "QDC");
  trace_->left(*port_);
  EXPECT_TRUE(events(abi::kServiceFrontDevice).empty());
}

TEST_F(ServiceTraceTest, WhatAClientCannotHaveSeenIsNotBelieved) {
  connect();
  const std::uint64_t later = relay::stamp() + relay::stamp_hz();
  const std::uint64_t lies[][4] = {
      {kId, 20, 10, 30}, {kId, 10, 30, 20}, {kId, 10, 20, later}, {kId + 1, 10, 20, 30}, {}};
  for (const auto& lie : lies) {
    serve();
    mark(lie[0], lie[1], lie[2], lie[3]);
    trace_->left(*port_);
    EXPECT_TRUE(events(abi::kServiceFrontDevice).empty()) << lie[0] << ' ' << lie[1];
  }
}

TEST_F(ServiceTraceTest, WhoReadsNoLongerIsToldNoMore) {
  connect();
  ASSERT_TRUE(consumer_->disconnect());
  EXPECT_TRUE(trace_->look());
  EXPECT_FALSE(trace_->on());
  port_->want_marks(trace_->on());
  EXPECT_EQ(front_->map().control->back.trace.load(), 0U);
}

}  // namespace
}  // namespace fairlead::block
