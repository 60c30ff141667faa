// SPDX-License-Identifier: Apache-2.0
//
// A channel's memory: what is none, what says what it is not, and somebody else's.
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fairlead/abi/segment.h"
#include "relay/testing_channel.h"

namespace fairlead::relay {
namespace {

using base::ErrorKind;
using std::chrono::milliseconds;
using testing::ElementsAre;

// A producer whose positions make no sense loses that stream, and no other.
TEST(RelayChannel, ABrokenStreamIsToldOnceAndGivenUp) {
  Producer producer = open_channel({.streams = 2});
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  const Memory memory(producer);
  write(producer, "in the first stream");
  memory->producer->streams[1].commit = std::uint64_t{1} << 40;
  StreamPiece piece;
  EXPECT_EQ(*consumer->read(piece), Look::kPiece);
  consumer->take();
  EXPECT_EQ(*consumer->read(piece), Look::kBroken);
  EXPECT_EQ(piece.stream, 1U);
  EXPECT_EQ(*consumer->read(piece), Look::kEmpty);
  EXPECT_EQ(consumer->broken(), 1U);
  EXPECT_FALSE(consumer->wait(milliseconds(0)));
  write(producer, "still read");
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("still read"));
  ASSERT_TRUE(producer.close({}));
  EXPECT_TRUE(consumer->ended());
}

TEST(RelayChannel, NestedWritesAreAttempts) {
  Producer producer = open_channel({.streams = 1});
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  const Memory memory(producer);
  write(producer, "one");
  memory->producer->streams[0].lost_nested = 3;  // as signal handlers count
  EXPECT_EQ(read_all(*consumer).lost, 3U);
  EXPECT_EQ(consumer->sums(0).attempts, 4U);
  EXPECT_EQ(consumer->sums(0).delivered + consumer->sums(0).lost, 4U);
}

TEST(RelayChannel, WhatIsNoChannelIsRefused) {
  const auto kind = [](std::uint64_t bytes, auto spoil) {
    auto segment = shm::Segment::create("test", bytes);
    spoil(segment->data());
    return Consumer::connect(base::Fd(::dup(segment->fd())), bytes).error().kind();
  };
  const std::uint64_t bytes = channel_bytes({});
  EXPECT_EQ(kind(4096, [](std::byte*) {}), ErrorKind::kCorrupt);
  EXPECT_EQ(kind(bytes, [](std::byte*) {}), ErrorKind::kCorrupt);
  const auto shaped = [](auto change) {
    return [change](std::byte* at) {
      ASSERT_TRUE(lay_out_channel(at, channel_bytes({}), {}));
      change(*reinterpret_cast<abi::SegmentHeader*>(at),
             *reinterpret_cast<abi::RelayShape*>(at + 256));
    };
  };
  using Header = abi::SegmentHeader;
  using Shape = abi::RelayShape;
  EXPECT_EQ(kind(bytes, shaped([](Header& header, Shape&) { header.magic = 1; })),
            ErrorKind::kCorrupt);
  EXPECT_EQ(kind(bytes, shaped([](Header& header, Shape&) { header.features = 1; })),
            ErrorKind::kCorrupt);
  EXPECT_EQ(kind(bytes, shaped([](Header& header, Shape&) { header.header_bytes += 32; })),
            ErrorKind::kCorrupt);
  EXPECT_EQ(kind(bytes, shaped([](Header&, Shape& shape) { shape.mode = abi::RelayMode(3); })),
            ErrorKind::kCorrupt);
  EXPECT_EQ(kind(bytes, shaped([](Header&, Shape& shape) { shape.clock_hz = 0; })),
            ErrorKind::kCorrupt);
  for (const std::size_t wild : {0, 8, 12, 36, 64, 72, 256, 260, 264, 268, 272, 276}) {
    EXPECT_EQ(kind(bytes,
                   [&](std::byte* at) {
                     ASSERT_TRUE(lay_out_channel(at, bytes, {}));
                     std::memset(at + wild, 0xEE, 4);
                   }),
              ErrorKind::kCorrupt)
        << "byte " << wild;
  }
}

TEST(RelayChannel, AChannelLargerThanItsMemoryIsRefused) {
  const ChannelOptions options{.streams = 1, .sub_buffer_bytes = 4096, .sub_buffers = 8};
  std::vector<std::byte> memory(channel_bytes(options) + 4096);
  std::byte* const at = at_a_page(memory.data());
  ASSERT_TRUE(lay_out_channel(at, channel_bytes(options), options));
  EXPECT_TRUE(map_channel(at, channel_bytes(options)));
  EXPECT_EQ(map_channel(at, channel_bytes(options) - 1).error().kind(), ErrorKind::kCorrupt);
}

// One stream more than the position pages hold, whose sizes are right otherwise.
TEST(RelayChannel, AStreamBeyondThePositionPagesIsRefused) {
  const ChannelOptions options{.streams = 24, .sub_buffer_bytes = 4096, .sub_buffers = 4};
  const std::uint64_t more = channel_bytes(options) + 4096 * 4;
  std::vector<std::byte> memory(more + 4096);
  std::byte* const at = at_a_page(memory.data());
  ASSERT_TRUE(lay_out_channel(at, more, options));
  reinterpret_cast<abi::RelayShape*>(at + 256)->streams = 25;
  auto* const sections = reinterpret_cast<abi::Section*>(at + sizeof(abi::SegmentHeader));
  sections[3].bytes += 4096 * 4;
  EXPECT_EQ(map_channel(at, more).error().kind(), ErrorKind::kCorrupt);
}

TEST(RelayChannel, SaysWhichOptionIsOutOfBounds) {
  const auto message = [](const ChannelOptions& options) {
    const auto producer = Producer::open(options);
    return producer ? std::string() : producer.error().message();
  };
  EXPECT_EQ(message({.streams = 0}), "a relay channel has streams from 1 to 24, not 0");
  EXPECT_EQ(message({.sub_buffer_bytes = 5000}),
            "a sub-buffer has a power of two of bytes from 4096 to 16777216, not 5000");
  EXPECT_EQ(message({.sub_buffers = 2}),
            "a stream has a power of two of sub-buffers from 4 to 4096, not 2");
  EXPECT_EQ(message({.sub_buffer_bytes = 4096, .item_bytes = 4096}),
            "an item of 4096 bytes does not fit a sub-buffer of 4096, or is longer than 65536");
  EXPECT_EQ(message({.sub_buffer_bytes = 4096, .item_bytes = 4096 - 128}), "");
  EXPECT_NE(message({.sub_buffer_bytes = 4096, .item_bytes = 4096 - 127}), "");
  EXPECT_EQ(message({.sub_buffer_bytes = 131'072, .item_bytes = 65'536}), "");
  EXPECT_NE(message({.sub_buffer_bytes = 131'072, .item_bytes = 65'537}), "");
}

TEST(RelayChannel, WorksInMemoryOfSomebodyElses) {
  const ChannelOptions options{.streams = 1, .sub_buffer_bytes = 4096, .sub_buffers = 4};
  const std::uint64_t bytes = channel_bytes(options);
  std::vector<std::byte> memory(bytes + 4096);
  std::byte* const at = at_a_page(memory.data());
  EXPECT_FALSE(Producer::open_in(at, bytes - 1, options));
  EXPECT_EQ(Producer::open_in(at + 64, bytes, options).error().kind(), ErrorKind::kInvalid);
  auto producer = Producer::open_in(at, bytes, options);
  ASSERT_TRUE(producer);
  auto consumer = Consumer::connect_in(at, bytes);
  ASSERT_TRUE(consumer);
  EXPECT_EQ(consumer->producer(), ProducerLife::kOpen) << "nobody can tell";
  write(*producer, "through a card");
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("through a card"));
  ASSERT_TRUE(producer->close(milliseconds(0)));
  EXPECT_TRUE(consumer->ended());
}

TEST(RelayChannel, MemoryOfSomebodyElsesKeepsWhatIsWrittenEarly) {
  const ChannelOptions options{
      .streams = 1, .sub_buffer_bytes = 4096, .sub_buffers = 4, .keep = true};
  std::vector<std::byte> memory(channel_bytes(options) + 4096);
  std::byte* const at = at_a_page(memory.data());
  auto producer = Producer::open_in(at, channel_bytes(options), options);
  ASSERT_TRUE(producer);
  EXPECT_EQ(write(*producer, "early"), Written::kDone);
  auto consumer = Consumer::connect_in(at, channel_bytes(options));
  ASSERT_TRUE(consumer);
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("early"));
}

TEST(RelayChannel, AClockOfAnotherKindIsNotMeasured) {
  const ChannelOptions options{.streams = 1, .sub_buffer_bytes = 4096, .sub_buffers = 4};
  auto segment = create_channel(options);
  ASSERT_TRUE(segment);
  auto& shape = *reinterpret_cast<abi::RelayShape*>(segment->data() + 256);
  ASSERT_EQ(shape.clock, kStampClock);
  shape.clock =
      kStampClock == abi::RelayClock::kTsc ? abi::RelayClock::kMonotonicRaw : abi::RelayClock::kTsc;
  auto consumer = Consumer::connect(base::Fd(::dup(segment->fd())), segment->size());
  ASSERT_TRUE(consumer) << consumer.error().message();
  EXPECT_EQ(consumer->measure_clock(1, milliseconds(1)).error().kind(), ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace fairlead::relay
