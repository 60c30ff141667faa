// SPDX-License-Identifier: Apache-2.0
//
// The service's end of a ring, against a front end that may write anything.
#include "block/client_port.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>

#include "block/testing_front.h"

namespace fairlead::block {
namespace {

constexpr std::uint32_t kSlots = 8;
constexpr std::uint64_t kGeneration = 42;

class ClientPortTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto port = ClientPort::create({.number = 7, .weight = 1, .peer = {}, .name = "test"},
                                   {.slot_count = kSlots,
                                    .request_bytes = sizeof(abi::BlockRequest),
                                    .response_bytes = sizeof(abi::BlockResponse),
                                    .data_bytes = 512},
                                   kGeneration);
    ASSERT_TRUE(port);
    port_ = *std::move(port);
    auto front = RawFront::of(*port_, kGeneration);
    ASSERT_TRUE(front) << front.error().message();
    front_ = std::make_unique<RawFront>(*std::move(front));
  }
  int post(const abi::BlockRequest& request) {
    front_->push(request);
    front_->publish();
    return port_->take(slots_, 100);
  }

  std::unique_ptr<ClientPort> port_;
  std::unique_ptr<RawFront> front_;
  std::uint32_t slots_[kSlots];
};

TEST_F(ClientPortTest, ARequestComesWholeAndItsAnswerGoesBackWithItsId) {
  auto request = front_->read_of(3, 99);
  ASSERT_EQ(post(request), 1);
  EXPECT_EQ(slots_[0], 3u);
  EXPECT_EQ(std::memcmp(&port_->request(3), &request, sizeof request), 0);
  EXPECT_EQ(port_->arrival_ns(3), 100);
  EXPECT_EQ(port_->outstanding(), 1u);
  std::memset(port_->data(3), 0x5a, 512);
  port_->answer(3, abi::BlockStatus::kOk, 512);
  abi::BlockResponse response[2];
  EXPECT_EQ(front_->take(response), 0) << "an answer shows before it is published";
  port_->publish();
  ASSERT_EQ(front_->take(response), 1);
  EXPECT_EQ(response[0].id, request.id);
  EXPECT_EQ(response[0].bytes, 512u);
  EXPECT_EQ(response[0].status, abi::BlockStatus::kOk);
  EXPECT_EQ(front_->data(3)[511], std::byte{0x5a});
  EXPECT_EQ(port_->outstanding(), 0u);
}

TEST_F(ClientPortTest, WhatTheClientWritesLaterChangesNothing) {
  ASSERT_EQ(post(front_->read_of(0, 99)), 1);
  std::memset(front_->map().requests, 0xff, kSlots * sizeof(abi::BlockRequest));
  EXPECT_EQ(port_->request(0).sector, 99u);
  port_->answer(0, abi::BlockStatus::kOk, 512);
  port_->publish();
  abi::BlockResponse response[1];
  ASSERT_EQ(front_->take(response), 1);
  EXPECT_EQ(response[0].id, 1000u);
}

TEST_F(ClientPortTest, ASlotThatDoesNotExistIsAFault) {
  for (const std::uint32_t slot : {kSlots, kSlots + 1, 1U << 16, ~0U}) {
    SetUp();
    EXPECT_EQ(post(front_->read_of(slot, 0)), shm::kFault) << slot;
  }
}

TEST_F(ClientPortTest, ASlotInFlightIsAFaultAndAnAnsweredOneIsNot) {
  ASSERT_EQ(post(front_->read_of(2, 0)), 1);
  port_->answer(2, abi::BlockStatus::kOk, 512);
  ASSERT_EQ(post(front_->read_of(2, 1)), 1);
  EXPECT_EQ(post(front_->read_of(2, 2)), shm::kFault);
}

TEST_F(ClientPortTest, TheSameSlotTwiceInOneBatchIsAFault) {
  front_->push(front_->read_of(2, 0));
  EXPECT_EQ(post(front_->read_of(2, 0)), shm::kFault);
}

TEST_F(ClientPortTest, ARequestThatWasNeverWrittenIsAFault) {
  auto request = front_->read_of(1, 0);
  request.op = abi::BlockOp::kNone;
  EXPECT_EQ(post(request), shm::kFault);
}

TEST_F(ClientPortTest, AnIndexFurtherAheadThanTheRingIsAFault) {
  for (const std::uint32_t produced : {kSlots + 1, 1U << 31, ~0U}) {
    SetUp();
    front_->map().control->front.request_produced.store(produced);
    EXPECT_EQ(port_->take(slots_, 0), shm::kFault) << produced;
  }
}

TEST_F(ClientPortTest, AFullRingComesInPortions) {
  for (std::uint32_t slot = 0; slot < kSlots; ++slot) front_->push(front_->read_of(slot, slot));
  front_->publish();
  EXPECT_EQ(port_->take(std::span(slots_).first(5), 0), 5);
  EXPECT_EQ(port_->take(slots_, 0), 3);
  EXPECT_EQ(port_->outstanding(), kSlots);
}

TEST_F(ClientPortTest, DoorbellsWithoutRequestsAreForgivenSixteenTimes) {
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(port_->heard()) << i;
  EXPECT_FALSE(port_->heard());
}

TEST_F(ClientPortTest, ADoorbellForEachRequestIsAlwaysRight) {
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(post(front_->read_of(0, 0)), 1);
    port_->answer(0, abi::BlockStatus::kOk, 0);
    EXPECT_TRUE(port_->heard());
  }
}

TEST_F(ClientPortTest, TheFirstRequestRingsAndAfterArmingTheNextDoes) {
  const auto bells = [&] {
    std::uint64_t count = 0;
    return ::read(port_->doorbell_fd(), &count, sizeof count) == 8 ? count : 0;
  };
  ASSERT_EQ(post(front_->read_of(0, 0)), 1);
  EXPECT_EQ(bells(), 1u);
  ASSERT_EQ(post(front_->read_of(1, 0)), 1);
  EXPECT_EQ(bells(), 0u) << "the service looks on: no bell is due";
  EXPECT_TRUE(port_->arm());
  ASSERT_EQ(post(front_->read_of(2, 0)), 1);
  EXPECT_EQ(bells(), 1u);
}

TEST_F(ClientPortTest, ItsMemoryIsSealedAndZero) {
  EXPECT_EQ(::ftruncate(front_->memory_fd(), 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::ftruncate(front_->memory_fd(), 1 << 20), -1);
  EXPECT_EQ(errno, EPERM);
  for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
    for (const std::byte byte : front_->data(slot)) ASSERT_EQ(byte, std::byte{0});
  }
}

TEST_F(ClientPortTest, CountsWhatWasAnsweredAndWhatFailed) {
  ASSERT_EQ(post(front_->read_of(0, 0)), 1);
  ASSERT_EQ(post(front_->read_of(1, 0)), 1);
  port_->answer(0, abi::BlockStatus::kIoError, 0);
  port_->answer(1, abi::BlockStatus::kOk, 512);
  EXPECT_EQ(port_->counts().requests, 2u);
  EXPECT_EQ(port_->counts().answered, 2u);
  EXPECT_EQ(port_->counts().errors, 1u);
}

}  // namespace
}  // namespace fairlead::block
