// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relay/testing_channel.h"

namespace fairlead::relay {
namespace {

using base::ErrorKind;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

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

TEST(RelayChannel, EachStreamHasMemoryOfItsOwn) {
  Producer producer = open_channel({.streams = 3, .sub_buffer_bytes = 4096, .sub_buffers = 4});
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  std::barrier together(3);
  const auto fill = [&](char letter) {
    while (write(producer, std::string(500, letter)) == Written::kDone) continue;
    together.arrive_and_wait();
  };
  std::thread first(fill, 'a');
  std::thread second(fill, 'b');
  fill('c');
  first.join();
  second.join();
  const Read all = read_all(*consumer);
  EXPECT_EQ(all.records.size(), 3U * 4 * 7) << "seven of them fit a sub-buffer";
  for (const char letter : {'a', 'b', 'c'}) {
    EXPECT_EQ(std::ranges::count(all.records, std::string(500, letter)), 28) << letter;
  }
  EXPECT_EQ(consumer->broken(), 0U);
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
  EXPECT_EQ(*consumer->poll_fd(), *fd) << "one for all";
  pollfd one{*fd, POLLIN, 0};
  ASSERT_EQ(::poll(&one, 1, 5000), 1);
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("polled"));
  // It is readable again within a millisecond, so that one look may come too late.
  bool quiet = false;
  for (int i = 0; i < 10'000 && !quiet; ++i) {
    EXPECT_THAT(read_all(*consumer).records, IsEmpty());
    quiet = ::poll(&one, 1, 0) == 0;
  }
  EXPECT_TRUE(quiet) << "reading in vain does not quieten it";
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

}  // namespace
}  // namespace fairlead::relay
