// SPDX-License-Identifier: Apache-2.0
//
// How a channel's sides part: disconnect, close, destruction, fork.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relay/testing_channel.h"

namespace fairlead::relay {
namespace {

using base::ErrorKind;
using std::chrono::milliseconds;
using testing::ElementsAre;

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

TEST(RelayChannel, CloseWaitsForAllStreamsAndSaysSoMeanwhile) {
  Producer producer = open_channel({.streams = 2});
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  std::atomic<bool> over{false};
  std::thread other([&] {  // so that the second stream is this thread's
    write(producer, "first stream");
    over.wait(false);
  });
  StreamPiece piece;
  while (*consumer->read(piece) != Look::kPiece) std::this_thread::yield();
  consumer->take();
  write(producer, "second stream");
  EXPECT_EQ(consumer->producer(), ProducerLife::kOpen);
  std::thread closing([&] {
    const auto drained = producer.close(std::chrono::seconds(30));
    EXPECT_TRUE(drained && *drained);
  });
  while (consumer->producer() == ProducerLife::kOpen) std::this_thread::yield();
  EXPECT_EQ(consumer->producer(), ProducerLife::kClosing) << "something is left";
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("second stream"));
  closing.join();
  EXPECT_EQ(consumer->producer(), ProducerLife::kClosed);
  over = true;
  over.notify_all();
  other.join();
}

TEST(RelayChannel, WhatIsLeftInAnyStreamIsNotDrained) {
  Producer producer = open_channel({.streams = 2});
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  write(producer, "first stream");
  std::thread([&] { write(producer, "second stream"); }).join();
  StreamPiece piece;
  ASSERT_EQ(*consumer->read(piece), Look::kPiece);
  ASSERT_EQ(piece.stream, 0U);
  consumer->take();
  const auto drained = producer.close({});
  ASSERT_TRUE(drained);
  EXPECT_FALSE(*drained);
  EXPECT_THAT(read_all(*consumer).records, ElementsAre("second stream"));
}

TEST(RelayChannel, CloseDoesNotWaitForAConsumerThatHasLeft) {
  Producer producer = open_channel({.keep = true});
  {
    auto consumer = connect_to(producer);
    ASSERT_TRUE(consumer);
    write(producer, "left behind");
  }
  EXPECT_FALSE(producer.connected()) << "its end is a disconnect";
  const auto began = std::chrono::steady_clock::now();
  const auto drained = producer.close(std::chrono::seconds(60));
  ASSERT_TRUE(drained);
  EXPECT_FALSE(*drained);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
}

TEST(RelayChannel, AProducerThatIsDestroyedHasClosed) {
  std::optional<Producer> producer(open_channel());
  auto consumer = connect_to(*producer);
  ASSERT_TRUE(consumer);
  producer.reset();
  EXPECT_TRUE(consumer->closed());
  EXPECT_EQ(consumer->producer(), ProducerLife::kClosed);
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

TEST(RelayChannel, AForkedChildHasNoPartInIt) {
  Producer producer = open_channel();
  auto consumer = connect_to(producer);
  ASSERT_TRUE(consumer);
  write(producer, "parent");
  EXPECT_EQ(exit_code_of_a_child([&] {
              return write(producer, "child") == Written::kClosed && producer.fd() == -1 &&
                     producer.closed() && !producer.answer_clock({}) && !producer.has_room(1) &&
                     producer.close({}).error().kind() == ErrorKind::kClosed &&
                     producer.wrong_calls() == 2;
            }),
            0);
  EXPECT_EQ(exit_code_of_a_child([&] {
              const Producer ended = std::move(producer);
              return true;
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

}  // namespace
}  // namespace fairlead::relay
