// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relay/consumer.h"
#include "relay/presence.h"
#include "relay/producer.h"

namespace fairlead::relay {
namespace {

using base::ErrorKind;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

Producer open_channel(const ChannelOptions& options = {}) {
  auto producer = Producer::open(options);
  if (!producer) throw std::runtime_error(producer.error().message());
  return std::move(*producer);
}

base::Result<Consumer> connect_to(const Producer& producer) {
  return Consumer::connect(base::Fd(::dup(producer.fd())), producer.bytes());
}

Written write(Producer& producer, std::string_view text) {
  return producer.write(1, text.data(), text.size());
}

std::vector<std::string> records_of(const StreamPiece& piece) {
  std::vector<std::string> records;
  for (std::size_t at = 0; at < piece.data.size();) {
    abi::RelayRecord record;
    std::memcpy(&record, piece.data.data() + at, sizeof record);
    const auto* text = reinterpret_cast<const char*>(piece.data.data() + at + sizeof record);
    records.emplace_back(text, record.bytes - sizeof record);
    at += round_up_8(record.bytes);
  }
  return records;
}

struct Read {
  std::vector<std::string> records;
  std::uint64_t lost = 0;
};

Read read_all(Consumer& consumer) {
  Read all;
  StreamPiece piece;
  for (;;) {
    const auto look = consumer.read(piece);
    if (!look || *look == Look::kEmpty || *look == Look::kBroken) return all;
    for (auto& record : records_of(piece)) all.records.push_back(std::move(record));
    all.lost += piece.losses.records();
    consumer.take();
  }
}

// 0 if `work` is true there.
int exit_code_of_a_child(const std::function<bool()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work() ? 0 : 1);
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(RelayChannel, CarriesRecordsFromOpenToClose) {
  Producer producer = open_channel();
  EXPECT_FALSE(producer.connected());
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer) << consumer.error().message();
  EXPECT_TRUE(producer.connected());
  EXPECT_EQ(consumer->id(), producer.id());
  EXPECT_EQ(write(producer, "one"), Written::kDone);
  EXPECT_EQ(write(producer, "two"), Written::kDone);
  EXPECT_TRUE(consumer->wait(milliseconds(0)));
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("one", "two"));
  EXPECT_EQ(consumer->producer(), ProducerLife::kOpen);
  const auto drained = producer.close(milliseconds(0));
  ASSERT_TRUE(drained);
  EXPECT_TRUE(*drained);
  EXPECT_EQ(consumer->producer(), ProducerLife::kClosed);
  EXPECT_TRUE(consumer->ended());
  EXPECT_TRUE(consumer->disconnect());
}

TEST(RelayChannel, WritesBeforeTheFirstConnectionAreLostOrKept) {
  for (const bool keep : {false, true}) {
    Producer producer = open_channel({.keep = keep});
    EXPECT_EQ(write(producer, "early"), keep ? Written::kDone : Written::kNobody);
    auto consumer = connect_to(producer);
    ASSERT_TRUE(consumer);
    EXPECT_EQ(write(producer, "late"), Written::kDone);
    const Read all = read_all(*consumer);
    if (keep) {
      EXPECT_THAT(all.records, ElementsAre("early", "late"));
    } else {
      EXPECT_THAT(all.records, ElementsAre("late"));
    }
    EXPECT_EQ(all.lost, keep ? 0U : 1U);
  }
}

TEST(RelayChannel, WritesAfterDisconnectAndCloseAreLostAndCounted) {
  Producer producer = open_channel({.keep = true});
  auto first = connect_to(producer);
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->disconnect());
  EXPECT_EQ(write(producer, "to nobody"), Written::kNobody);
  auto second = connect_to(producer);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->epoch(), 2U);
  ASSERT_TRUE(producer.close(milliseconds(0)));
  EXPECT_EQ(write(producer, "too late"), Written::kClosed);
  EXPECT_EQ(read_all(*second).lost, 2U);
  EXPECT_EQ(second->sums(0).attempts, 2U);
}

TEST(RelayChannel, EachWrongOrderIsAnErrorAndCounted) {
  Producer producer = open_channel();
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  const auto second = connect_to(producer);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kBusy);
  ASSERT_TRUE(consumer->disconnect());
  EXPECT_EQ(consumer->disconnect().error().kind(), ErrorKind::kClosed);
  StreamPiece piece;
  EXPECT_EQ(consumer->read(piece).error().kind(), ErrorKind::kClosed);
  EXPECT_EQ(consumer->poll_fd().error().kind(), ErrorKind::kClosed);
  EXPECT_EQ(consumer->measure_clock(1, milliseconds(1000)).error().kind(), ErrorKind::kClosed);
  EXPECT_FALSE(consumer->wait(milliseconds(1000)));
  consumer->take();
  EXPECT_EQ(consumer->wrong_calls(), 6U);
  EXPECT_TRUE(consumer->ended()) << "or who reads until then would do so for ever";
  ASSERT_TRUE(producer.close(milliseconds(0)));
  EXPECT_EQ(producer.close(milliseconds(0)).error().kind(), ErrorKind::kClosed);
  EXPECT_FALSE(producer.answer_clock({}));
  EXPECT_EQ(producer.wrong_calls(), 2U);
}

TEST(RelayChannel, ADisconnectLeavesThePlaceToTheNextConsumer) {
  Producer producer = open_channel();
  auto first = connect_to(producer);
  ASSERT_TRUE(first);
  write(producer, "one");
  write(producer, "two");
  EXPECT_THAT(read_all(*first).records, ElementsAre("one", "two"));
  write(producer, "three");
  ASSERT_TRUE(first->disconnect());
  auto second = connect_to(producer);
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_THAT(read_all(*second).records, ElementsAre("three")) << "no duplicate, nothing left out";
}

// The document's first warning: closed before the other side has disconnected.
TEST(RelayChannel, WhatACloseLeavesBehindCanStillBeReadAndIsFreedWithTheConsumer) {
  Producer producer = open_channel();
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  write(producer, "left behind");
  const auto drained = producer.close(milliseconds(5));
  ASSERT_TRUE(drained);
  EXPECT_FALSE(*drained);
  EXPECT_EQ(producer.fd(), -1) << "the descriptor is kept";
  EXPECT_FALSE(consumer->ended()) << "there is something to read";
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("left behind"));
  EXPECT_TRUE(consumer->ended());
}

TEST(RelayChannel, CloseWaitsUntilAllIsRead) {
  Producer producer = open_channel();
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  write(producer, "slowly");
  std::vector<std::string> read;
  std::thread reader([&] {
    std::this_thread::sleep_for(milliseconds(20));
    read = read_all(*consumer).records;
  });
  const auto drained = producer.close(std::chrono::seconds(30));
  reader.join();
  ASSERT_TRUE(drained);
  EXPECT_TRUE(*drained);
  EXPECT_THAT(read, ElementsAre("slowly"));
}

TEST(RelayChannel, CloseWaitsForTheFirstReaderOfWhatIsKept) {
  Producer producer = open_channel({.keep = true});
  write(producer, "kept");
  const base::Fd memory(::dup(producer.fd()));
  std::vector<std::string> read;
  std::thread reader([&] {
    std::this_thread::sleep_for(milliseconds(20));
    auto consumer = Consumer::connect(base::Fd(::dup(memory.get())), producer.bytes());
    if (consumer) read = read_all(*consumer).records;
  });
  const auto drained = producer.close(std::chrono::seconds(30));
  reader.join();
  ASSERT_TRUE(drained);
  EXPECT_TRUE(*drained);
  EXPECT_THAT(read, ElementsAre("kept"));
}

TEST(RelayChannel, EachThreadHasAStreamAndTheNextOneTakesItOver) {
  Producer producer = open_channel({.streams = 2});
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  write(producer, "main");
  for (const char* name : {"first", "second", "third"}) {
    std::thread([&] { EXPECT_EQ(write(producer, name), Written::kDone); }).join();
  }
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("main", "first", "second", "third"));
  EXPECT_EQ(consumer->sums(0).delivered, 1U);
  EXPECT_EQ(consumer->sums(1).delivered, 3U);
}

// A thread remembers the stream it wrote to last: not another channel's, nor a dead one's.
TEST(RelayChannel, AThreadThatWritesToSeveralChannelsMixesNothingUp) {
  for (int round = 0; round < 3; ++round) {
    Producer one = open_channel();
    Producer other = open_channel();
    auto reads_one = connect_to(one);
    auto reads_other = connect_to(other);
    ASSERT_TRUE(reads_one && reads_other);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(write(one, "one"), Written::kDone);
      EXPECT_EQ(write(other, "other"), Written::kDone);
      EXPECT_EQ(write(other, "other"), Written::kDone);
    }
    EXPECT_EQ(read_all(*reads_one).records, std::vector<std::string>(3, "one"));
    EXPECT_EQ(read_all(*reads_other).records, std::vector<std::string>(6, "other"));
  }
}

// A thread's stream is given back while it ends: what it writes after that is not written there.
TEST(RelayChannel, AThreadThatWritesWhileItEndsHasNoPartInAStreamThatItGaveBack) {
  Producer producer = open_channel({.streams = 1});
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  pthread_key_t key{};  // after the channel's, so that its destructor comes later
  const auto write_late = [](void* at) {
    auto& channel = *static_cast<Producer*>(at);
    std::latch claimed(1);
    std::latch over(1);
    std::thread next([&] {
      EXPECT_EQ(write(channel, "next"), Written::kDone);
      claimed.count_down();
      over.wait();
    });
    claimed.wait();
    EXPECT_EQ(write(channel, "late"), Written::kNoStream);
    over.count_down();
    next.join();
  };
  ASSERT_EQ(::pthread_key_create(&key, write_late), 0);
  std::thread([&] {
    EXPECT_EQ(write(producer, "early"), Written::kDone);
    ::pthread_setspecific(key, &producer);
  }).join();
  ::pthread_key_delete(key);
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("early", "next"));
}

TEST(RelayChannel, AConsumerReadsNoMoreThanItAsksFor) {
  Producer producer = open_channel();
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  EXPECT_TRUE(producer.has_room(100));
  for (const char* text : {"one", "two", "six"}) write(producer, text);
  StreamPiece piece;
  for (const char* text : {"one", "two", "six"}) {
    ASSERT_EQ(*consumer->read(piece, 1), Look::kPiece);
    EXPECT_THAT(records_of(piece), ElementsAre(text));
    consumer->take();
  }
  EXPECT_EQ(*consumer->read(piece, 1), Look::kEmpty);
}

TEST(RelayChannel, ThreadsBeyondTheStreamsLoseAndAreCounted) {
  Producer producer = open_channel({.streams = 1});
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  write(producer, "main");
  std::thread([&] { EXPECT_EQ(write(producer, "one too many"), Written::kNoStream); }).join();
  EXPECT_EQ(consumer->no_stream(), 1U);
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("main"));
}

TEST(RelayChannel, AThreadMayOutliveTheChannelItWroteTo) {
  std::atomic<int> step{0};
  auto producer = std::make_unique<Producer>(open_channel());
  std::thread writer([&] {
    write(*producer, "before");
    step = 1;
    step.notify_all();
    step.wait(1);
  });
  step.wait(0);
  producer.reset();
  step = 2;
  step.notify_all();
  writer.join();
}

TEST(RelayChannel, StreamsAreReadInTurn) {
  Producer producer = open_channel({.streams = 2, .sub_buffer_bytes = 4096, .sub_buffers = 4});
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  const std::string filler(1000, 'x');
  while (write(producer, filler) == Written::kDone) continue;
  std::thread([&] { write(producer, "the other"); }).join();
  StreamPiece piece;
  ASSERT_EQ(*consumer->read(piece), Look::kPiece);
  EXPECT_EQ(piece.stream, 0U);
  consumer->take();
  ASSERT_EQ(*consumer->read(piece), Look::kPiece);
  EXPECT_THAT(records_of(piece), ElementsAre("the other"));
}

TEST(RelayChannel, APollDescriptorIsReadableWhileThereMayBeSomething) {
  Producer producer = open_channel();
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  const auto fd = consumer->poll_fd();
  ASSERT_TRUE(fd);
  write(producer, "polled");
  pollfd one{*fd, POLLIN, 0};
  ASSERT_EQ(::poll(&one, 1, 5000), 1);
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("polled"));
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
  for (const std::size_t wild : {8, 12, 36, 64, 72, 256, 260, 264, 268, 272, 276}) {
    EXPECT_EQ(kind(bytes,
                   [&](std::byte* at) {
                     ASSERT_TRUE(lay_out_channel(at, bytes, {}));
                     std::memset(at + wild, 0xEE, 4);
                   }),
              ErrorKind::kCorrupt)
        << "byte " << wild;
  }
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
}

TEST(RelayChannel, WorksInMemoryOfSomebodyElses) {
  const ChannelOptions options{.streams = 1, .sub_buffer_bytes = 4096, .sub_buffers = 4};
  const std::uint64_t bytes = channel_bytes(options);
  std::vector<std::uint64_t> memory(bytes / sizeof(std::uint64_t) + 512);
  auto* at = reinterpret_cast<std::byte*>(memory.data());
  at += (4096 - reinterpret_cast<std::uintptr_t>(at) % 4096) % 4096;
  EXPECT_FALSE(Producer::open_in(at, bytes - 1, options));
  auto producer = Producer::open_in(at, bytes, options);
  ASSERT_TRUE(producer);
  auto consumer = Consumer::connect_in(at, bytes);
  ASSERT_TRUE(consumer);
  write(*producer, "through a card");
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("through a card"));
  ASSERT_TRUE(producer->close(milliseconds(0)));
  EXPECT_TRUE(consumer->ended());
}

TEST(RelayChannel, AForkedChildHasNoPartInIt) {
  Producer producer = open_channel();
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  write(producer, "parent");
  EXPECT_EQ(exit_code_of_a_child([&] {
              return write(producer, "child") == Written::kClosed && producer.fd() == -1 &&
                     producer.closed() && !producer.answer_clock({}) &&
                     producer.close({}).error().kind() == ErrorKind::kClosed &&
                     producer.wrong_calls() == 2;
            }),
            0);
  EXPECT_EQ(consumer->heartbeat(), 0U);
  EXPECT_FALSE(consumer->closed());
  write(producer, "parent again");
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("parent", "parent again"));
  EXPECT_EQ(consumer->producer(), ProducerLife::kOpen);
}

TEST(RelayChannel, AForkedChildReadsNothingAndDisconnectsNobody) {
  Producer producer = open_channel();
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  write(producer, "parent");
  EXPECT_EQ(exit_code_of_a_child([&] {
              StreamPiece piece;
              const bool refused = consumer->read(piece).error().kind() == ErrorKind::kClosed &&
                                   consumer->disconnect().error().kind() == ErrorKind::kClosed &&
                                   consumer->wrong_calls() == 2;
              const Consumer ended = std::move(*consumer);
              return refused;
            }),
            0);
  EXPECT_TRUE(producer.connected());
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("parent"));
}

// The kernel's word on who is there is not kept alive by a child.
TEST(RelayChannel, AForkedChildHoldsNobodysPlace) {
  Producer producer = open_channel();
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  auto first = connect_to(producer);
  ASSERT_TRUE(first);
  char byte = 0;
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    ::_exit(::write(ends[1], &byte, 1) == 1 && ::read(ends[1], &byte, 1) == 0 ? 0 : 1);
  }
  ::close(ends[1]);
  ASSERT_EQ(::read(ends[0], &byte, 1), 1) << "the child is there";
  ASSERT_TRUE(first->disconnect());
  EXPECT_TRUE(connect_to(producer)) << "the child has the lock";
  ::close(ends[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// One clock on both sides: the truth is 0.
TEST(RelayChannel, AProducerThatAnswersTellsItsClockAndThatItLives) {
  Producer producer = open_channel();
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  EXPECT_EQ(consumer->heartbeat(), 0U);
  EXPECT_EQ(consumer->measure_clock(2, milliseconds(2)).error().kind(), ErrorKind::kTimeout);
  std::atomic<bool> stop{false};
  std::thread answering([&] {
    while (!stop) producer.answer_clock(std::chrono::microseconds(200));
  });
  const auto measured = consumer->measure_clock(16, milliseconds(5000));
  stop = true;
  answering.join();
  ASSERT_TRUE(measured);
  EXPECT_LE(measured->low, 0);
  EXPECT_GE(measured->high, 0);
  EXPECT_GT(consumer->heartbeat(), 0U);
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
