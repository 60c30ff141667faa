// SPDX-License-Identifier: Apache-2.0
#include "trace/port_frames.h"

#include <algorithm>
#include <cstring>
#include <string>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "trace/testing_port.h"

namespace fairlead::trace {
namespace {

using abi::TraceLossCause;
using abi::TraceType;
using Look = PortReader::Look;

constexpr std::uint64_t kSession = 77;

TEST(PortQueue, WhatIsWrittenComesOutInOrder) {
  PortQueue queue(kSession, kLeastPortFrames);
  PortKeeper host(kSession);
  EXPECT_TRUE(write_number(queue, 1));
  EXPECT_TRUE(write_number(queue, 2));
  queue.end(9);
  EXPECT_FALSE(write_number(queue, 3));
  host.take_all(queue);
  EXPECT_EQ(host.numbers(), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(host.last(), Look::kEnd);
  EXPECT_EQ(queue.unsent(), 0U);
}

TEST(PortQueue, FullItLosesUntilAnEighthIsFreeAndTellsInThatPlace) {
  PortQueue queue(kSession, kLeastPortFrames);
  PortKeeper host(kSession);
  std::uint64_t number = 0;
  while (write_number(queue, ++number)) {
  }
  const std::uint64_t first_lost = number;
  host.take(queue, kPortFrameBytes);  // one frame: too little room for writing on
  EXPECT_FALSE(write_number(queue, ++number));
  EXPECT_EQ(queue.lost(), 2U);
  host.take(queue, kPortFrameBytes * kLeastPortFrames / 8);
  EXPECT_TRUE(write_number(queue, ++number));
  host.take_all(queue);
  ASSERT_EQ(host.losses().size(), 1U);
  const abi::TraceLoss& loss = host.losses()[0].loss;
  EXPECT_EQ(loss.records, 2U);
  EXPECT_EQ(loss.bytes, 2 * kPayloadBytes);
  EXPECT_EQ(loss.first_stamp, stamp_of(first_lost));
  EXPECT_EQ(loss.last_stamp, stamp_of(first_lost + 1));
  EXPECT_EQ(loss.cause, TraceLossCause::kFull);
  EXPECT_EQ(host.losses()[0].after, first_lost - 1);
  EXPECT_EQ(host.numbers().back(), number);
}

TEST(PortQueue, AGapIsToldAlsoIfNothingFollows) {
  PortQueue queue(kSession, kLeastPortFrames);
  PortKeeper host(kSession);
  for (std::uint64_t number = 1; write_number(queue, number); ++number) {
  }
  host.take_all(queue);
  ASSERT_EQ(host.losses().size(), 1U);
  EXPECT_EQ(host.losses()[0].loss.records, 1U);
}

TEST(PortQueue, LossesOfTheSourceAreNeverLost) {
  PortQueue queue(kSession, kLeastPortFrames);
  PortKeeper host(kSession);
  std::uint64_t number = 0;
  while (write_number(queue, ++number)) {
  }
  for (const std::uint64_t stamp : {500U, 900U, 100U}) {
    const abi::TraceLoss loss{7, 0, stamp, stamp + 50, TraceLossCause::kKernel, {}};
    EXPECT_TRUE(queue.write(TraceType::kLoss, loss.last_stamp, &loss));
  }
  EXPECT_EQ(queue.lost(), 1U);  // what the source itself lost was no record
  queue.end(1);                 // even though nothing has been taken
  host.take_all(queue);
  EXPECT_EQ(host.last(), Look::kEnd);
  ASSERT_EQ(host.losses().size(), 2U);
  EXPECT_EQ(host.losses()[0].loss.cause, TraceLossCause::kFull);
  const abi::TraceLoss& kernel = host.losses()[1].loss;
  EXPECT_EQ(kernel.cause, TraceLossCause::kKernel);
  EXPECT_EQ(kernel.records, 21U);
  EXPECT_EQ(kernel.first_stamp, 100U);
  EXPECT_EQ(kernel.last_stamp, 950U);
}

TEST(PortQueue, ThereIsRoomForALossOfEachCauseAndTheEnd) {
  PortQueue queue(kSession, kLeastPortFrames);
  PortKeeper host(kSession);
  for (std::uint64_t number = 1; write_number(queue, number); ++number) {
  }
  for (std::uint32_t cause = 1; cause <= 7; ++cause) {
    const abi::TraceLoss loss{1, 0, 1, 1, TraceLossCause(cause), {}};
    EXPECT_TRUE(queue.write(TraceType::kLoss, 1, &loss));
  }
  queue.end(1);
  EXPECT_FALSE(write_number(queue, 1));  // ended
  host.take_all(queue);
  EXPECT_EQ(host.last(), Look::kEnd);
  EXPECT_EQ(host.losses().size(), 7U);
}

TEST(PortQueue, AnAnswerGoesFirstButBreaksNoFrame) {
  PortQueue queue(kSession, kLeastPortFrames);
  PortKeeper host(kSession);
  for (std::uint64_t number = 1; number <= 20; ++number) write_number(queue, number);
  host.take(queue, 2 * kPortFrameBytes + 10);  // hello, a number, a part of the next
  EXPECT_TRUE(queue.answer(3, 333));
  EXPECT_TRUE(queue.answer(4, 444));  // the host has given up the one before
  host.take(queue, kPortFrameBytes - 10 + 5);
  EXPECT_FALSE(queue.answer(5, 555));  // that is on its way
  host.take_all(queue);
  ASSERT_EQ(host.answers().size(), 1U);
  EXPECT_EQ(host.answers()[0].round, 4U);
  EXPECT_EQ(host.answers()[0].stamp, 444U);
  EXPECT_EQ(host.answers()[0].after, 2U);  // numbers before it
  EXPECT_EQ(host.numbers().size(), 20U);
  EXPECT_TRUE(queue.answer(6, 666));
}

TEST(PortQueue, WhatIsLeftIsCounted) {
  PortQueue queue(kSession, kLeastPortFrames);
  PortKeeper host(kSession);
  for (std::uint64_t number = 1; number <= 5; ++number) write_number(queue, number);
  host.take(queue, 3 * kPortFrameBytes + 1);
  EXPECT_EQ(queue.unsent(), 3U);
  queue.end(1);
  EXPECT_EQ(queue.unsent(), 3U);
}

// Whatever the order: each record comes, or is told as lost where it would have come.
TEST(PortQueue, AllThatWasWrittenIsDeliveredOrToldInItsPlace) {
  rc::check([] {
    PortQueue queue(kSession, *rc::gen::inRange(kLeastPortFrames, 2 * kLeastPortFrames));
    PortKeeper host(kSession);
    std::uint64_t written = 0;
    std::uint64_t lost = 0;
    std::uint64_t of_the_kernel = 0;
    for (int left = *rc::gen::inRange(0, 60); left > 0; --left) {
      switch (*rc::gen::inRange(0, 4)) {
        case 0:
        case 1:
          for (auto count = *rc::gen::inRange(0, 90); count > 0; --count) {
            if (!write_number(queue, ++written)) ++lost;
          }
          break;
        case 2: host.take(queue, *rc::gen::inRange<std::size_t>(0, 6000)); break;
        default: {
          const abi::TraceLoss loss{2, 0, 5, 6, TraceLossCause::kKernel, {}};
          RC_ASSERT(queue.write(TraceType::kLoss, 6, &loss));
          of_the_kernel += 2;
          queue.answer(written, 1);
        }
      }
      RC_ASSERT(queue.lost() == lost);
    }
    queue.end(1);
    host.take_all(queue);
    RC_ASSERT(host.last() == Look::kEnd);
    std::uint64_t next = 1;
    auto loss = host.losses().begin();
    const auto skip_losses = [&](std::size_t delivered) {
      for (; loss != host.losses().end() && loss->index == delivered; ++loss) {
        if (loss->loss.cause == TraceLossCause::kKernel) {
          of_the_kernel -= loss->loss.records;
          continue;
        }
        RC_ASSERT(loss->loss.first_stamp == stamp_of(next));
        next += loss->loss.records;
        RC_ASSERT(loss->loss.last_stamp == stamp_of(next - 1));
      }
    };
    for (std::size_t i = 0; i < host.numbers().size(); ++i) {
      skip_losses(i);
      RC_ASSERT(host.numbers()[i] == next++);
    }
    skip_losses(host.numbers().size());
    RC_ASSERT(next == written + 1);
    RC_ASSERT(of_the_kernel == 0U);
  });
}

// ---- PortReader ----

std::vector<std::byte> session_of(std::uint64_t session, std::uint64_t numbers) {
  PortQueue queue(session, 1024);
  for (std::uint64_t number = 1; number <= numbers; ++number) write_number(queue, number);
  queue.end(1);
  return bytes_of(queue);
}

PortFrame& frame_at(std::vector<std::byte>& bytes, std::size_t index) {
  return *reinterpret_cast<PortFrame*>(bytes.data() + index * kPortFrameBytes);
}

TEST(PortReader, PassesOverWhatIsOfAnEarlierSession) {
  std::vector<std::byte> bytes = session_of(5, 10);
  bytes.erase(bytes.begin(), bytes.begin() + 100);  // it begins within a frame
  const std::vector<std::byte> whole = session_of(6, 10);
  bytes.insert(bytes.end(), whole.begin(), whole.end());
  const std::vector<std::byte> ours = session_of(kSession, 3);
  bytes.insert(bytes.end(), ours.begin(), ours.end());
  for (const std::size_t piece : {1U, 63U, 64U, 65U, 100'000U}) {
    PortKeeper host(kSession);
    host.take(bytes, piece);
    EXPECT_EQ(host.numbers(), (std::vector<std::uint64_t>{1, 2, 3}));
    EXPECT_EQ(host.last(), Look::kEnd);
  }
}

TEST(PortReader, DoesNotWaitForAHelloForEver) {
  const std::vector<std::byte> rubbish(64 << 10, std::byte{0x40});
  PortKeeper host(kSession);
  std::uint64_t taken = 0;
  for (; host.last() == Look::kMore && taken <= 2 * PortReader::kMostSkipped;
       taken += rubbish.size()) {
    host.take(rubbish, rubbish.size());
  }
  EXPECT_EQ(host.last(), Look::kBroken);
  EXPECT_GE(taken, PortReader::kMostSkipped);
  EXPECT_FALSE(host.begun());
}

TEST(PortReader, WhatIsNoFrameOrOutOfItsTurnEndsIt) {
  const std::vector<std::byte> sound = session_of(kSession, 5);
  const auto broken_by = [&](auto change) {
    std::vector<std::byte> bytes = sound;
    change(bytes);
    PortKeeper host(kSession);
    host.take(bytes, kPortFrameBytes);  // asked again after each
    return std::pair(host.last(), host.numbers().size());
  };
  using Bytes = std::vector<std::byte>;
  EXPECT_EQ(broken_by([](Bytes&) {}), std::pair(Look::kEnd, std::size_t{5}));
  EXPECT_EQ(broken_by([](Bytes& b) { frame_at(b, 3).record.bytes = 65; }),
            std::pair(Look::kBroken, std::size_t{2}));
  EXPECT_EQ(broken_by([](Bytes& b) { frame_at(b, 3).record.bytes = 0; }),
            std::pair(Look::kBroken, std::size_t{2}));
  EXPECT_EQ(broken_by([](Bytes& b) { ++frame_at(b, 3).record.sequence; }),
            std::pair(Look::kBroken, std::size_t{2}));
  EXPECT_EQ(broken_by([](Bytes& b) { b.erase(b.begin() + 64, b.begin() + 128); }),
            std::pair(Look::kBroken, std::size_t{0}));
  EXPECT_EQ(broken_by([](Bytes& b) { b.erase(b.begin() + 90, b.begin() + 91); }),
            std::pair(Look::kBroken, std::size_t{1}));
  EXPECT_EQ(broken_by([](Bytes& b) { b.resize(b.size() - 1); }),
            std::pair(Look::kMore, std::size_t{5}));
}

TEST(PortReader, AnEndThatDoesNotAddUpIsNone) {
  std::vector<std::byte> bytes = session_of(kSession, 5);
  const auto outcome = [&](std::uint64_t records, std::uint64_t lost) {
    const abi::PortEnd end{records, lost, {}};
    std::memcpy(frame_at(bytes, 6).payload, &end, sizeof end);
    PortKeeper host(kSession);
    host.take(bytes, bytes.size());
    return host.last();
  };
  EXPECT_EQ(outcome(5, 0), Look::kEnd);
  EXPECT_EQ(outcome(6, 0), Look::kBroken);
  EXPECT_EQ(outcome(5, 1), Look::kBroken);
}

TEST(PortReader, AfterTheEndNothingIsRead) {
  std::vector<std::byte> bytes = session_of(kSession, 2);
  const std::vector<std::byte> again = session_of(kSession, 3);
  bytes.insert(bytes.end(), again.begin(), again.end());
  PortKeeper host(kSession);
  host.take(bytes, kPortFrameBytes);  // asked again after each
  EXPECT_EQ(host.numbers().size(), 2U);
  EXPECT_EQ(host.last(), Look::kEnd);
}

// ---- PortQuestions ----

TEST(PortQuestions, AreFoundBehindAPartOfOne) {
  const abi::PortQuestion one{abi::kPortQuestionMagic, 12};
  const abi::PortQuestion two{abi::kPortQuestionMagic, 13};
  std::string bytes(reinterpret_cast<const char*>(&one) + 5, sizeof one - 5);
  bytes.append(reinterpret_cast<const char*>(&one), sizeof one);
  bytes.append(reinterpret_cast<const char*>(&two), sizeof two);
  for (const std::size_t piece : {1U, 7U, 16U, 100U}) {
    PortQuestions questions;
    std::vector<std::uint64_t> rounds;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      auto rest = std::as_bytes(std::span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
      while (!rest.empty()) {
        rest = rest.subspan(questions.push(rest));
        if (const auto round = questions.next()) rounds.push_back(*round);
      }
    }
    EXPECT_EQ(rounds, (std::vector<std::uint64_t>{12, 13}));
  }
}

}  // namespace
}  // namespace fairlead::trace
