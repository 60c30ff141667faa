// SPDX-License-Identifier: Apache-2.0
#include "trace/port_source.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "relay/stamp.h"
#include "trace/testing_port.h"
#include "trace/trace_file_format.h"

namespace fairlead::trace {
namespace {

using abi::TraceLossCause;

constexpr std::uint64_t kPortSession = 4711;
constexpr std::uint64_t kAnswers = 17;  // more than one burst: one at least came in time

// A recording in memory, and the source between it and a guest that the test plays.
class Recorded {
 public:
  Recorded() : memory_(::memfd_create("test", MFD_CLOEXEC)) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    guest_.reset(ends[0]);
    source_.emplace("g", base::Fd(ends[1]), kPortSession);
    path_ = "/proc/self/fd/" + std::to_string(memory_.get());
    auto file = TraceFileWriter::create(
        path_, {.wall_ns = 0, .stamp = relay::stamp(), .hz = relay::stamp_hz()});
    EXPECT_TRUE(file);
    file_.emplace(std::move(*file));
    source_->introduce(*file_);
  }

  int guest() const { return guest_.get(); }
  void close_guest() { guest_.reset(); }
  void say(std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t put = ::write(guest_.get(), bytes.data(), bytes.size());
      ASSERT_GT(put, 0);
      bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
  }
  void say(PortQueue& queue, std::size_t most = SIZE_MAX) const { say(bytes_of(queue, most)); }

  bool poll() {
    const auto more = source_->poll(*file_);
    EXPECT_TRUE(more);
    return more && *more;
  }
  Trace finish() {
    EXPECT_TRUE(source_->finish(*file_));
    return read();
  }
  Trace read() {
    EXPECT_TRUE(file_->end());
    auto trace = read_trace(path_);
    EXPECT_TRUE(trace) << trace.error().message();
    return trace ? *trace : Trace{};
  }

 private:
  base::Fd memory_;
  base::Fd guest_;
  std::string path_;
  std::optional<TraceFileWriter> file_;
  std::optional<PortSource> source_;
};

std::vector<std::uint64_t> sectors(const Trace& trace) {
  std::vector<std::uint64_t> all;
  all.reserve(trace.events.size());
  for (const Event& event : trace.events) all.push_back(event.block.sector);
  return all;
}

TEST(PortSource, WritesDownWhatTheGuestSays) {
  Recorded recorded;
  PortQueue queue(kPortSession, 1024);
  const abi::TraceDevice device{254U << 20, {'v', 'd', 'a'}};
  const abi::TraceName name{7, {'d', 'd'}, {}};
  queue.write(abi::TraceType::kDevice, 1, &device);
  queue.write(abi::TraceType::kName, 1, &name);
  write_number(queue, 1);
  write_number(queue, 2);
  recorded.say(queue);
  EXPECT_TRUE(recorded.poll());
  write_number(queue, 3);
  queue.end(1);
  recorded.say(queue);
  EXPECT_FALSE(recorded.poll());
  const Trace trace = recorded.finish();
  EXPECT_EQ(sectors(trace), (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(trace.lost(), 0U);
  ASSERT_EQ(trace.devices.size(), 1U);
  EXPECT_EQ(trace.devices[0].name, "vda");
  ASSERT_EQ(trace.names.size(), 1U);
  EXPECT_EQ(trace.names[0].name, "dd");
  EXPECT_EQ(trace.sources[0].kind, SourceKind::kGuest);
  EXPECT_FALSE(trace.sources[0].clock_known);  // it answered no question
}

TEST(PortSource, LossesStandBetweenTheirNeighbours) {
  Recorded recorded;
  PortQueue queue(kPortSession, kLeastPortFrames);
  std::uint64_t written = 0;
  std::uint64_t lost = 0;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 200; ++i) lost += write_number(queue, ++written) ? 0 : 1;
    recorded.say(queue);
    recorded.poll();
  }
  queue.end(1);
  recorded.say(queue);
  const Trace trace = recorded.finish();
  EXPECT_EQ(lost, queue.lost());
  EXPECT_EQ(trace.lost(), lost);
  EXPECT_EQ(trace.events.size() + lost, written);
  ASSERT_EQ(trace.losses.size(), 4U);
  for (const Loss& loss : trace.losses) EXPECT_EQ(loss.cause, TraceLossCause::kFull);
}

// Of a whole session, cut after so many bytes, and the guest is gone.
Trace cut_after(std::size_t bytes) {
  Recorded recorded;
  PortQueue queue(kPortSession, 1024);
  for (std::uint64_t number = 1; number <= 3; ++number) write_number(queue, number);
  queue.end(1);
  recorded.say(queue, bytes);
  recorded.close_guest();
  EXPECT_FALSE(recorded.poll());
  return recorded.finish();
}

TEST(PortSource, AGuestThatEndsBeforeItsEndIsALoss) {
  constexpr std::size_t kFrames = 5;  // hello and end included
  for (std::size_t bytes = 0; bytes < kFrames * kPortFrameBytes; bytes += 16) {
    const Trace trace = cut_after(bytes);
    EXPECT_EQ(trace.events.size(), bytes < 128 ? 0 : std::min<std::size_t>(bytes / 64 - 1, 3));
    ASSERT_EQ(trace.losses.size(), 1U) << bytes;
    EXPECT_EQ(trace.losses[0].cause, TraceLossCause::kCorrupt);
    EXPECT_FALSE(trace.cut);  // the recorder has ended it
  }
  EXPECT_EQ(cut_after(kFrames * kPortFrameBytes).lost(), 0U);
}

TEST(PortSource, ATypeNobodyKnowsIsALossAndNoMore) {
  Recorded recorded;
  PortQueue queue(kPortSession, 1024);
  const std::array<std::byte, kPayloadBytes> payload{};
  write_number(queue, 1);
  queue.write(abi::TraceType(0xbeef), 50, payload.data());
  write_number(queue, 2);
  queue.end(1);
  recorded.say(queue);
  EXPECT_FALSE(recorded.poll());
  const Trace trace = recorded.finish();
  EXPECT_EQ(sectors(trace), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(trace.lost(), 1U);
}

// It would be a recording that nobody can read.
TEST(PortSource, ALossOfUnknownCauseIsCorrupt) {
  Recorded recorded;
  PortQueue queue(kPortSession, 1024);
  for (const std::uint32_t cause : {0U, 8U, 0xffff'ffffU}) {
    const abi::TraceLoss loss{2, 0, 5, 6, TraceLossCause(cause), {}};
    queue.write(abi::TraceType::kLoss, 6, &loss);
  }
  queue.end(1);
  recorded.say(queue);
  recorded.poll();
  const Trace trace = recorded.finish();
  ASSERT_EQ(trace.losses.size(), 3U);
  for (const Loss& loss : trace.losses) EXPECT_EQ(loss.cause, TraceLossCause::kCorrupt);
}

TEST(PortSource, RubbishEndsItAndIsReadNoFurther) {
  Recorded recorded;
  PortQueue queue(kPortSession, 1024);
  write_number(queue, 1);
  recorded.say(queue);
  recorded.say(std::vector<std::byte>(1000, std::byte{0xff}));
  EXPECT_FALSE(recorded.poll());
  recorded.say(std::vector<std::byte>(1000, std::byte{0xff}));
  EXPECT_FALSE(recorded.poll());
  const Trace trace = recorded.finish();
  EXPECT_EQ(trace.events.size(), 1U);
  EXPECT_EQ(trace.lost(), 1U);
}

// Numbered records without end: a turn ends all the same.
TEST(PortSource, AGuestThatFloodsIsReadForAWhile) {
  Recorded recorded;
  std::atomic<bool> over{false};
  std::jthread guest([&, fd = recorded.guest()] {
    PortQueue queue(kPortSession, 4096);
    for (std::uint64_t number = 1; !over; ++number) {
      write_number(queue, number);
      if (number % 1024 != 0) continue;
      const auto bytes = bytes_of(queue);
      pollfd one{fd, POLLOUT, 0};
      for (std::size_t at = 0; at < bytes.size() && !over;) {
        ::poll(&one, 1, 10);
        const ssize_t put = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_DONTWAIT);
        if (put > 0) at += static_cast<std::size_t>(put);
      }
    }
  });
  for (int turn = 0; turn < 5; ++turn) EXPECT_TRUE(recorded.poll());
  over = true;
  guest.join();
  recorded.close_guest();
  while (recorded.poll()) {
  }
  EXPECT_EQ(recorded.finish().lost(), 1U);  // it never said its end
}

// A guest that answers, by a clock that is ahead by `ahead` ticks; until it is told to end.
class Answering {
 public:
  Answering(int fd, std::int64_t ahead) : ahead_(ahead), thread_([this, fd] { run(fd); }) {}
  void step(std::int64_t by) { ahead_ += by; }
  std::uint64_t answered() const { return answered_; }
  void end() { over_ = true; }

 private:
  void run(int fd) {
    PortQueue queue(kPortSession, 1024);
    PortQuestions questions;
    std::uint64_t number = 0;
    while (!over_) {
      pollfd one{fd, POLLIN, 0};
      if (::poll(&one, 1, 2) > 0) answer(fd, queue, questions);
      write_number(queue, ++number);
      send(fd, queue);
    }
    queue.end(1);
    send(fd, queue);
  }
  void answer(int fd, PortQueue& queue, PortQuestions& questions) {
    std::array<std::byte, 16> bytes;
    const ssize_t got = ::read(fd, bytes.data(), bytes.size());
    if (got <= 0) return;
    const std::uint64_t now = relay::ordered_stamp() + static_cast<std::uint64_t>(ahead_.load());
    questions.push(std::span(bytes).first(static_cast<std::size_t>(got)));
    if (const auto round = questions.next()) {
      queue.answer(*round, now);
      ++answered_;
    }
  }
  static void send(int fd, PortQueue& queue) {
    const auto bytes = bytes_of(queue);
    EXPECT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

  std::atomic<std::int64_t> ahead_;
  std::atomic<bool> over_{false};
  std::atomic<std::uint64_t> answered_{0};
  std::jthread thread_;
};

TEST(PortSource, TheClocksBoundHoldsTheTruth) {
  for (const std::int64_t ahead :
       {std::int64_t{0}, std::int64_t{123'456'789'012}, std::int64_t{-123'456'789'012}}) {
    Recorded recorded;
    {
      Answering guest(recorded.guest(), ahead);
      while (guest.answered() < kAnswers) recorded.poll();
      guest.end();
    }
    const Trace trace = recorded.finish();
    ASSERT_TRUE(trace.sources[0].clock_known);
    EXPECT_LT(trace.sources[0].bound_ns, 20 * base::kNanosPerMilli);
    EXPECT_TRUE(trace.sources[0].steps.empty());
  }
}

// What a recording says of clocks; its times alone do not tell whether they are true.
TEST(PortSource, EachAnswerGivesAnIntervalWithTheTruth) {
  constexpr std::int64_t kAhead = 987'654'321;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const base::Fd memory(::memfd_create("test", MFD_CLOEXEC));
  const std::string path = "/proc/self/fd/" + std::to_string(memory.get());
  auto file = TraceFileWriter::create(path, {.wall_ns = 0, .stamp = 1, .hz = 1'000'000'000});
  ASSERT_TRUE(file);
  const base::Fd guest_end(ends[0]);
  PortSource source("g", base::Fd(ends[1]), kPortSession);
  source.introduce(*file);
  {
    Answering guest(guest_end.get(), kAhead);
    while (guest.answered() < kAnswers) ASSERT_TRUE(source.poll(*file));
    guest.end();
  }
  ASSERT_TRUE(source.finish(*file));
  ASSERT_TRUE(file->flush());
  int clocks = 0;
  FileRecord record{};
  for (off_t at = sizeof(FileHeader);
       ::pread(memory.get(), &record, sizeof record, at) == sizeof record; at += sizeof record) {
    if (RecordKind(record.kind) != RecordKind::kClock) continue;
    ClockPayload clock{};
    std::memcpy(&clock, record.payload, sizeof clock);
    EXPECT_LE(std::abs(clock.offset - kAhead), static_cast<std::int64_t>(clock.half_width));
    ++clocks;
  }
  EXPECT_GT(clocks, 0);
}

TEST(PortSource, AnAnswerToSomebodyElsesQuestionIsNone) {
  Recorded recorded;
  PortQueue queue(kPortSession, 1024);
  recorded.say(queue);
  for (std::uint64_t round = 1; round < 10; ++round) {
    queue.answer(round, 1);
    recorded.say(queue);
    EXPECT_TRUE(recorded.poll());
  }
  queue.end(1);
  recorded.say(queue);
  EXPECT_FALSE(recorded.finish().sources[0].clock_known);
}

TEST(PortSource, AStepOfTheClockIsFound) {
  Recorded recorded;
  Answering guest(recorded.guest(), 0);
  while (guest.answered() < kAnswers) recorded.poll();
  guest.step(static_cast<std::int64_t>(relay::stamp_hz()));  // a second
  const std::uint64_t before = guest.answered();
  while (guest.answered() < before + kAnswers) recorded.poll();
  guest.end();
  const Trace trace = recorded.finish();
  EXPECT_EQ(trace.sources[0].steps.size(), 1U);
}

}  // namespace
}  // namespace fairlead::trace
