// SPDX-License-Identifier: Apache-2.0
//
// One stream, both ends, one thread: what goes in comes out, what does not is told in its place.
#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relay/testing_stream.h"

namespace fairlead::relay {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

TEST(StreamTest, WhatIsWrittenIsReadWholeAndInOrder) {
  TestStream stream;
  for (const char* word : {"one", "two", "", "four"}) {
    EXPECT_EQ(stream.write(word), Written::kDone);
  }
  EXPECT_THAT(stream.read_all(), ElementsAre("one", "two", "", "four"));
  EXPECT_TRUE(stream.adds_up());
}

TEST(StreamTest, ARecordIsThereAtOnceNotWithItsSubBuffer) {
  TestStream stream;
  for (int i = 0; i < 10'000; ++i) {
    stream.write(std::to_string(i));
    ASSERT_THAT(stream.read_all(), ElementsAre(std::to_string(i)));
  }
  EXPECT_TRUE(stream.adds_up());
}

TEST(StreamTest, RecordsAreNeverSplit) {
  TestStream stream;
  const std::size_t longest = most_payload(stream.shape());
  for (std::size_t bytes = 0; bytes <= longest; bytes += 97) {
    const std::string record(bytes, 'x');
    ASSERT_EQ(stream.write(record), Written::kDone);
    ASSERT_THAT(stream.read_all(), ElementsAre(record));
  }
  EXPECT_EQ(stream.write(std::string(longest, 'y')), Written::kDone);
  EXPECT_EQ(stream.write(std::string(longest + 1, 'z')), Written::kTooBig);
  EXPECT_THAT(stream.read_all(), ElementsAre(std::string(longest, 'y'), "lost: 1 big"));
}

TEST(StreamTest, ItemsLieSideBySide) {
  TestStream stream({.item_bytes = 26});
  const std::string item = "abcdefghijklmnopqrstuvwxyz";
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(stream.write(item), Written::kDone);
    if (i % 7 == 0) {
      for (const std::string& got : stream.read_all()) ASSERT_EQ(got, item);
    }
  }
  EXPECT_EQ(stream.write("short"), Written::kTooBig);
  stream.read_all();
  EXPECT_EQ(stream.reader().sums().delivered, 1000u);
  EXPECT_TRUE(stream.adds_up());
}

// Whatever is asked for at once: the same records, whole and in order.
TEST(StreamTest, ReadsOfAnyLengthGiveWholeRecordsOnce) {
  for (const StreamKind& kind : {StreamKind{}, {false, 26}}) {
    for (const std::size_t most : {1, 16, 26, 40, 51, 52, 64, 1000, 3000, 10'000}) {
      TestStream stream({.item_bytes = kind.item_bytes});
      std::vector<std::string> written;
      std::vector<std::string> got;
      for (std::size_t i = 0; i < 600; ++i) {
        written.emplace_back(kind.item_bytes != 0 ? 26 : i * 37 % 90,
                             static_cast<char>('a' + i % 26));
        ASSERT_EQ(stream.write(written.back()), Written::kDone);
        if (i % 70 != 0) continue;
        for (std::string& record : stream.read_all(most)) got.push_back(std::move(record));
      }
      for (std::string& record : stream.read_all(most)) got.push_back(std::move(record));
      EXPECT_EQ(got, written) << name_of(kind) << " " << most;
      EXPECT_TRUE(stream.adds_up());
    }
  }
}

TEST(StreamTest, AReadGivesNoMoreThanWasAskedFor) {
  TestStream records;
  TestStream items({.item_bytes = 26});
  for (int i = 0; i < 20; ++i) {
    records.write("12345678");  // 24 bytes with its header
    items.write("abcdefghijklmnopqrstuvwxyz");
  }
  Piece piece;
  ASSERT_EQ(records.look(piece, 100), Look::kPiece);
  EXPECT_EQ(piece.records, 4u);
  EXPECT_EQ(piece.data.size(), 96u);
  ASSERT_EQ(records.look(piece, 1), Look::kPiece);  // the first, if it is longer
  EXPECT_EQ(piece.records, 1u);
  records.reader().take();
  ASSERT_EQ(records.look(piece, 48), Look::kPiece);
  EXPECT_EQ(piece.first, 2u);
  ASSERT_EQ(items.look(piece, 100), Look::kPiece);
  EXPECT_EQ(piece.records, 3u);
  EXPECT_EQ(piece.data.size(), 78u);
}

// Behind a record that was read alone the next one is cut short by the limit, and a lie.
TEST(StreamTest, ARecordLongerThanWhatIsThereIsNotReadForTheAsking) {
  TestStream stream;
  stream.write("honest");
  stream.write("forged");
  Piece piece;
  ASSERT_EQ(stream.look(piece, 1), Look::kPiece);
  stream.reader().take();
  auto* record = reinterpret_cast<abi::RelayRecord*>(stream.data() + sizeof(abi::RelaySubBuffer) +
                                                     round_up_8(sizeof(abi::RelayRecord) + 6));
  record->bytes = 4000;
  EXPECT_EQ(stream.look(piece, 1), Look::kEmpty);
  EXPECT_EQ(stream.reader().sums().delivered, 1u);
}

TEST(StreamTest, AProducerThatWaitsForRoomLosesNothing) {
  for (const StreamKind& kind : {StreamKind{}, {false, 26}, {true, 0}}) {
    TestStream stream({.item_bytes = kind.item_bytes, .overwrite = kind.overwrite});
    const std::string item(26, 'x');
    std::size_t written = 0;
    while (stream.writer().has_room(item.size()) && written < 2000) {
      ASSERT_EQ(stream.write(item), Written::kDone);
      ++written;
    }
    EXPECT_EQ(written == 2000, kind.overwrite) << name_of(kind);
    if (kind.overwrite) continue;
    EXPECT_EQ(stream.read_all().size(), written);
    EXPECT_TRUE(stream.writer().has_room(item.size()));
    EXPECT_EQ(stream.in().lost_full, 0u);
  }
}

TEST(StreamTest, WhenFullWhatIsNewIsLostAndToldWhereItIsMissing) {
  TestStream stream;
  const std::size_t written = stream.fill("kept");
  EXPECT_EQ(stream.write("lost"), Written::kFull);
  const auto before = stream.read_all();
  ASSERT_EQ(before.size(), written + 1);
  EXPECT_EQ(before.back(), "lost: 2 full");
  EXPECT_EQ(stream.write("again"), Written::kDone);
  EXPECT_THAT(stream.read_all(), ElementsAre("again"));
  EXPECT_TRUE(stream.adds_up());
}

TEST(StreamTest, LossIsToldBeforeTheRecordThatFollowsIt) {
  TestStream stream;
  stream.fill("kept");
  Piece piece;
  // One sub-buffer is let go of: writing resumes, and the reader has not yet seen the loss.
  ASSERT_EQ(stream.look(piece), Look::kPiece);
  stream.reader().take();
  EXPECT_EQ(stream.write("again"), Written::kDone);
  const auto rest = stream.read_all();
  ASSERT_GE(rest.size(), 2u);
  EXPECT_EQ(rest[rest.size() - 2], "lost: 1 full");
  EXPECT_EQ(rest.back(), "again");
}

// A gap that ends after every record would cost more than it saves.
TEST(StreamTest, WritingResumesOnlyWhenAWholeSubBufferIsFree) {
  TestStream stream;
  stream.fill(std::string(500, 'x'));
  EXPECT_EQ(stream.write(""), Written::kFull);  // would have fitted into what is left
}

TEST(StreamTest, LossBeforeTheFirstRecordIsTold) {
  TestStream stream({.connected = false});
  EXPECT_EQ(stream.write("nobody"), Written::kNobody);
  EXPECT_EQ(stream.write("nobody"), Written::kNobody);
  stream.connect();
  EXPECT_EQ(stream.write("first"), Written::kDone);
  EXPECT_THAT(stream.read_all(), ElementsAre("lost: 2 state", "first"));
}

TEST(StreamTest, WhatIsWrittenBeforeTheConnectionCanBeKept) {
  TestStream stream({.connected = false, .keep = true});
  EXPECT_EQ(stream.write("early"), Written::kDone);
  stream.connect();
  EXPECT_THAT(stream.read_all(), ElementsAre("early"));
  stream.disconnect();
  EXPECT_EQ(stream.write("late"), Written::kNobody);
}

TEST(StreamTest, LossAfterTheLastRecordIsToldOnce) {
  TestStream stream;
  stream.write("last");
  stream.writer().close();
  EXPECT_EQ(stream.write("late"), Written::kClosed);
  EXPECT_THAT(stream.read_all(), ElementsAre("last", "lost: 1 state"));
  EXPECT_THAT(stream.read_all(), ElementsAre());
  EXPECT_EQ(stream.write("later"), Written::kClosed);
  EXPECT_THAT(stream.read_all(), ElementsAre("lost: 1 state"));
  EXPECT_TRUE(stream.adds_up());
}

TEST(StreamTest, EachGapHasTheStampsOfItsFirstAndLastLoss) {
  TestStream stream;
  stream.fill("kept", 10);
  stream.write("lost", 20);
  stream.write("lost", 30);
  Piece piece;
  while (stream.look(piece) == Look::kPiece) stream.reader().take();
  EXPECT_EQ(piece.losses.first_stamp, 10u);
  EXPECT_EQ(piece.losses.last_stamp, 30u);
  EXPECT_EQ(piece.losses.bytes, 12u);
}

TEST(StreamTest, ASecondGapHasItsOwnStamps) {
  TestStream stream;
  Piece piece;
  for (const std::uint64_t stamp : {20u, 40u}) {
    stream.fill("kept", 10);
    stream.read_all();
    ASSERT_EQ(stream.write(std::string(70'000, 'x'), stamp), Written::kTooBig);
    ASSERT_EQ(stream.look(piece), Look::kLosses);
    EXPECT_EQ(piece.losses.last_stamp, stamp);
    stream.reader().take();
    ASSERT_EQ(stream.write("more", stamp + 1), Written::kDone);
    ASSERT_EQ(stream.write(std::string(70'000, 'x'), stamp + 2), Written::kTooBig);
    stream.look(piece);
    stream.reader().take();
    ASSERT_EQ(stream.look(piece), Look::kLosses);
    EXPECT_EQ(piece.losses.first_stamp, stamp + 2);
    stream.reader().take();
  }
}

TEST(StreamTest, AConsumedAheadOfWhatWasWrittenIsNotBelieved) {
  TestStream stream;
  stream.fill("kept");
  const std::uint64_t capacity = stream.shape().capacity();
  for (const std::uint64_t wild : {capacity, 2 * capacity, ~std::uint64_t{0}}) {
    stream.out().consumed = wild;
    EXPECT_EQ(stream.write("lost"), Written::kFull) << wild;
  }
  stream.read_all();
  EXPECT_EQ(stream.write("again"), Written::kDone);
}

TEST(StreamTest, APieceThatIsNotTakenComesAgain) {
  TestStream stream;
  stream.write("one");
  Piece piece;
  ASSERT_EQ(stream.look(piece), Look::kPiece);
  EXPECT_THAT(stream.read_all(), ElementsAre("one"));
  EXPECT_TRUE(stream.adds_up());
}

TEST(StreamTest, ASuccessorContinuesWithoutGapOrDuplicate) {
  for (int taken = 0; taken < 12; ++taken) {
    TestStream stream;
    std::vector<std::string> got;
    for (int i = 0; i < 300; ++i) {
      stream.write(std::to_string(i));
      if (i % 25 == taken) {
        for (auto& record : stream.read_all()) got.push_back(record);
        Piece piece;
        stream.write("looked at, not taken");
        stream.look(piece);
        stream.new_reader();
      }
    }
    for (auto& record : stream.read_all()) got.push_back(record);
    EXPECT_EQ(got.size(), 300u + 12);
    EXPECT_TRUE(stream.adds_up());
  }
}

TEST(StreamTest, ASuccessorIsToldOnlyWhatItsPredecessorWasNot) {
  TestStream stream;
  stream.fill("kept");
  stream.read_all();
  stream.new_reader();
  EXPECT_THAT(stream.read_all(), ElementsAre());
  EXPECT_EQ(stream.write(std::string(70'000, 'x')), Written::kTooBig);
  stream.write("more");
  EXPECT_THAT(stream.read_all(), ElementsAre("lost: 1 big", "more"));
  EXPECT_TRUE(stream.adds_up());
}

TEST(StreamTest, OverwritingKeepsTheNewestAndCountsTheRestExactly) {
  TestStream stream({.overwrite = true});
  for (int i = 0; i < 5000; ++i) ASSERT_EQ(stream.write(std::to_string(i)), Written::kDone);
  const auto got = stream.read_all();
  EXPECT_EQ(got.back(), "4999");
  const auto sums = stream.reader().sums();
  EXPECT_EQ(sums.delivered + sums.overwritten, 5000u);
  EXPECT_EQ(got.front(), "lost: " + std::to_string(sums.overwritten) + " overwritten");
  EXPECT_EQ(got[1], std::to_string(sums.overwritten));
}

TEST(StreamTest, AnOvertakenReaderCountsWhatItHasNotRead) {
  TestStream stream({.overwrite = true});
  std::uint64_t written = 0;
  for (int burst = 1; burst < 400; ++burst) {
    for (int i = 0; i < burst * 7 % 500; ++i, ++written) stream.write(std::to_string(written));
    Piece piece;
    if (stream.look(piece) != Look::kEmpty) stream.reader().take();
  }
  stream.read_all();
  const auto sums = stream.reader().sums();
  EXPECT_GT(sums.overwritten, 0u);
  EXPECT_EQ(sums.delivered + sums.overwritten, written);
}

// Attempts that no header and no loss accounts for: the sub-buffer is given up, and what was in it
// counts as corrupt; also after some that were really overwritten.
TEST(StreamTest, AHeaderThatLosesRecordsIsNotBelieved) {
  for (const StreamKind& kind : {StreamKind{}, {true, 0}, {false, 6}, {true, 6}}) {
    TestStream stream({.item_bytes = kind.item_bytes, .overwrite = kind.overwrite});
    for (int i = 0; kind.overwrite && i < 5000; ++i) stream.write("honest");
    stream.write("honest");
    stream.read_all();
    const std::uint64_t bytes = stream.shape().sub_buffer_bytes();
    const std::uint64_t end = stream.shape().begin_of(stream.writer().position()) + bytes;
    while (stream.writer().position() <= end) stream.write("honest");
    std::byte* header = stream.data() + stream.shape().place(end);
    reinterpret_cast<abi::RelaySubBuffer*>(header)->attempts += 1;
    std::uint64_t forged = 1;  // has begun the sub-buffer
    for (; stream.writer().position() <= end + bytes; ++forged) stream.write("forged");
    const auto got = stream.read_all();
    EXPECT_THAT(got, Contains("lost: " + std::to_string(forged - 1) + " corrupt")) << name_of(kind);
    EXPECT_EQ(std::ranges::count(got, "forged"), 1) << name_of(kind);  // the last is past it
    EXPECT_TRUE(stream.adds_up());
  }
}

TEST(StreamTest, PositionsPassTheEndsOfWords) {
  for (const std::uint64_t edge : {std::uint64_t{1} << 32, std::uint64_t{1} << 63}) {
    for (const bool overwrite : {false, true}) {
      TestStream stream({.overwrite = overwrite, .first = edge - 2 * 4096});
      for (int i = 0; i < 3000; ++i) {
        ASSERT_EQ(stream.write(std::to_string(i)), Written::kDone);
        if (i % 50 == 49) {
          ASSERT_EQ(stream.read_all().size(), 50u) << edge << " " << i;
        }
      }
      EXPECT_TRUE(stream.adds_up());
    }
  }
}

// A signal handler that writes is played by one that runs in the middle of the copy.
struct InterruptedMemory : SharedMemory {
  using SharedMemory::SharedMemory;
  void put(std::uint64_t offset, const void* from, std::size_t bytes) noexcept {
    SharedMemory::put(offset, from, bytes);
    if (handler) std::exchange(handler, nullptr)();
  }
  static inline std::function<void()> handler;
};

struct InterruptedPlatform : Production {
  using Memory = InterruptedMemory;
};

TEST(StreamTest, AWriteFromWithinAWriteIsLostAndTold) {
  BasicTestStream<InterruptedPlatform> stream;
  stream.write("before");
  InterruptedMemory::handler = [&] { EXPECT_EQ(stream.write("within"), Written::kNested); };
  stream.write("around");
  stream.write("after");
  EXPECT_THAT(stream.read_all(), ElementsAre("before", "around", "lost: 1 nested", "after"));
  EXPECT_TRUE(stream.adds_up());
}

// The consumer tells of it before it can see the sub-buffer whose header does not know of it.
TEST(StreamTest, ALossFromWithinTheFirstWriteOfASubBufferSpoilsNothing) {
  BasicTestStream<InterruptedPlatform> stream;
  InterruptedMemory::handler = [&] {
    EXPECT_EQ(stream.write("within"), Written::kNested);
    EXPECT_THAT(stream.read_all(), ElementsAre("lost: 1 nested"));
  };
  stream.write("around");
  stream.write("after");
  EXPECT_THAT(stream.read_all(), ElementsAre("around", "after"));
  EXPECT_TRUE(stream.adds_up());
}

// A producer that is faster than two looks of its consumer.
struct LappingPlatform : Production {
  template <auto kSite, typename T>
  static T load(const std::atomic<T>& word) noexcept {
    if constexpr (kSite == Site::kSeeGivenUp) {
      if (burst) std::exchange(burst, nullptr)();
    }
    return Production::load<kSite>(word);
  }
  static inline std::function<void()> burst;
};

TEST(StreamTest, AReaderThatIsLappedBetweenTwoLooksGoesOn) {
  BasicTestStream<LappingPlatform> stream({.overwrite = true});
  stream.write("first");
  LappingPlatform::burst = [&] {
    for (int i = 0; i < 20; ++i) stream.write(std::string(3000, 'x'));
  };
  EXPECT_THAT(stream.read_all().back(), std::string(3000, 'x'));
  EXPECT_GT(stream.reader().sums().overwritten, 0u);
  EXPECT_TRUE(stream.adds_up());
}

}  // namespace
}  // namespace fairlead::relay
