// SPDX-License-Identifier: Apache-2.0
//
// Processes killed with -9 at any moment: the other side reads on, and every record is accounted
// for.  Each record holds its own number among all attempts, so that one in the wrong place shows.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/sanitizers.h"
#include "relay/consumer.h"
#include "relay/producer.h"
#include "relay/stamp.h"

namespace fairlead::relay {
namespace {

constexpr int kKills = base::kSanitized ? 100 : 1000;
constexpr std::size_t kTooBig = 8192;
constexpr ChannelOptions kSmall{
    .streams = 1, .sub_buffer_bytes = 4096, .sub_buffers = 4, .keep = true};

struct Record {
  std::uint64_t number;  // from 1
  std::uint64_t filler[3];
};

// Writes the next attempt; every ninth is one that does not fit.
void write_one(Producer& producer, std::uint64_t number) {
  char big[kTooBig]{};
  const Record record{number, {}};
  std::memcpy(big, &record, sizeof record);
  producer.write(1, big, number % 9 == 0 ? sizeof big : sizeof record);
}

// Whether each record of the piece stands where its number says.
testing::AssertionResult in_place(const StreamPiece& piece) {
  constexpr std::size_t kStride = sizeof(abi::RelayRecord) + sizeof(Record);
  if (piece.data.size() != kStride * piece.records) return testing::AssertionFailure() << "size";
  for (std::uint32_t i = 0; i < piece.records; ++i) {
    Record record;
    std::memcpy(&record, piece.data.data() + i * kStride + sizeof(abi::RelayRecord), sizeof record);
    if (record.number != piece.first + i) {
      return testing::AssertionFailure() << record.number << " stands for " << piece.first + i;
    }
  }
  return testing::AssertionSuccess();
}

// Reads what is there; false if the test has failed.
bool read_some(Consumer& consumer) {
  StreamPiece piece;
  for (;;) {
    const auto look = consumer.read(piece);
    EXPECT_TRUE(look && *look != Look::kBroken);
    if (!look || *look == Look::kBroken) return false;
    if (*look == Look::kEmpty) return true;
    const auto right = in_place(piece);
    EXPECT_TRUE(right);
    if (!right) return false;
    consumer.take();
  }
}

void kill_and_wait(pid_t child) {
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "it ended by itself";
}

void pause() { std::this_thread::sleep_for(std::chrono::microseconds(20)); }

void nap(base::Random& random) {
  std::this_thread::sleep_for(std::chrono::microseconds(random.below(1500)));
}

struct Channel {
  int fd;
  std::uint64_t bytes;
};

[[noreturn]] void produce_until_killed(int tell, bool overwrite) {
  ChannelOptions options = kSmall;
  options.overwrite = overwrite;
  auto producer = Producer::open(options);
  const Channel channel{producer->fd(), producer->bytes()};
  if (::write(tell, &channel, sizeof channel) != sizeof channel) ::_exit(1);
  for (std::uint64_t number = 1;; ++number) write_one(*producer, number);
}

TEST(RelayKill, WhatAKilledProducerHasWrittenIsReadAndAddsUp) {
  stamp_hz();  // measured here, and not by each child
  base::Random random(1);
  std::uint64_t in_flight = 0;
  std::uint64_t attempts = 0;
  for (int round = 0; round < kKills; ++round) {
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) produce_until_killed(pipe[1], round % 2 == 1);
    Channel channel{};
    ASSERT_EQ(::read(pipe[0], &channel, sizeof channel), ssize_t{sizeof channel});
    ::close(pipe[0]);
    ::close(pipe[1]);
    const std::string path = "/proc/" + std::to_string(child) + "/fd/" + std::to_string(channel.fd);
    auto consumer =
        Consumer::connect(base::Fd(::open(path.c_str(), O_RDWR | O_CLOEXEC)), channel.bytes);
    ASSERT_TRUE(consumer) << consumer.error().message();
    if (round % 3 != 0) {
      for (int reads = 0; reads < 20; ++reads) ASSERT_TRUE(read_some(*consumer)) << round;
    }
    nap(random);
    kill_and_wait(child);
    ASSERT_TRUE(read_some(*consumer)) << round;
    EXPECT_EQ(consumer->producer(), ProducerLife::kDead);
    EXPECT_TRUE(consumer->ended());
    const auto sums = consumer->sums(0);
    EXPECT_EQ(sums.corrupt, 0U);
    const auto settled = sums.delivered + sums.lost + sums.overwritten;
    ASSERT_GE(sums.attempts, settled) << round;
    ASSERT_LE(sums.attempts, settled + 1) << round << ": more than one in flight";
    in_flight += sums.attempts - settled;
    attempts += sums.attempts;
  }
  EXPECT_GT(in_flight, 0U) << "no kill ever met a write: " << attempts << " attempts";
}

// What consumers have read, by their own word, before they take it; written by one at a time.
struct Diary {
  struct Entry {
    std::uint64_t first;
    std::uint64_t records;
    std::uint64_t consumer;
  };
  static constexpr std::size_t kMost = 1 << 18;
  std::atomic<int> connected;  // consumers so far
  std::atomic<std::size_t> entries;
  Entry entry[kMost];
};

[[noreturn]] void consume_until_killed(const Channel& channel, Diary& diary) {
  auto consumer = Consumer::connect(base::Fd(::dup(channel.fd)), channel.bytes);
  if (!consumer) ::_exit(1);
  ++diary.connected;
  StreamPiece piece;
  for (;;) {
    const auto look = consumer->read(piece);
    if (!look || *look == Look::kBroken || !in_place(piece)) ::_exit(2);
    if (*look == Look::kEmpty) {
      pause();
      continue;
    }
    const std::size_t at = diary.entries.load();
    if (at == Diary::kMost) ::_exit(3);
    diary.entry[at] = {piece.first, piece.records, consumer->epoch()};
    diary.entries.store(at + 1);
    consumer->take();
  }
}

TEST(RelayKill, AConsumerIsFollowedByOneThatReadsOnWithoutGapOrDuplicate) {
  base::Random random(2);
  auto producer = Producer::open(kSmall);
  ASSERT_TRUE(producer);
  const base::Fd memfd(::dup(producer->fd()));
  const Channel channel{memfd.get(), producer->bytes()};
  auto* diary = static_cast<Diary*>(
      ::mmap(nullptr, sizeof(Diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(diary, MAP_FAILED);
  std::uint64_t number = 0;
  for (int round = 0; round < kKills; ++round) {
    const int before = diary->connected;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) consume_until_killed(channel, *diary);
    // One in four may die before it is there.
    while (round % 4 != 0 && diary->connected == before) {
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, WNOHANG), 0)
          << "round " << round << ": it ended by itself, " << WEXITSTATUS(status);
      pause();
    }
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::microseconds(random.below(2000));
    while (std::chrono::steady_clock::now() < end) {
      for (int i = 0; i < 8; ++i) write_one(*producer, ++number);
      pause();
    }
    kill_and_wait(child);
  }
  auto last = Consumer::connect(base::Fd(::dup(channel.fd)), channel.bytes);
  ASSERT_TRUE(last) << last.error().message();
  ASSERT_TRUE(read_some(*last));
  const auto sums = last->sums(0);
  EXPECT_EQ(sums.attempts, number);
  EXPECT_EQ(sums.delivered + sums.lost + sums.overwritten + sums.corrupt, number);

  std::uint64_t next = 1;
  std::size_t again = 0;
  for (std::size_t i = 0; i < diary->entries; ++i) {
    const auto& entry = diary->entry[i];
    if (i > 0 && entry.first < next) {
      // Written down and not taken when its consumer died: the same piece, to another consumer.
      ASSERT_EQ(entry.first, diary->entry[i - 1].first) << i;
      ASSERT_NE(entry.consumer, diary->entry[i - 1].consumer) << i;
      ++again;
    }
    ASSERT_GE(entry.first + entry.records, next) << i;
    next = entry.first + entry.records;
  }
  EXPECT_GT(diary->entries, std::size_t{kKills} / 2) << "too few of them lived to read";
  RecordProperty("read_again", static_cast<int>(again));
  ::munmap(diary, sizeof(Diary));
}

}  // namespace
}  // namespace fairlead::relay
