// SPDX-License-Identifier: Apache-2.0
#include "trace/cpu_stream.h"

#include <gtest/gtest.h>

#include "trace/testing_data.h"
#include "trace/testing_sink.h"

namespace fairlead::trace {
namespace {

constexpr std::uint64_t kMissing = 1U << 31;
constexpr std::uint64_t kSaid = kMissing | (1U << 30);

class CpuStreamTest : public testing::Test {
 protected:
  void take(const std::vector<std::byte>& page, std::optional<std::uint64_t> lost = {}) {
    stream_.take(RingPage(page, {}), lost, names_, sink_);
  }
  std::vector<std::byte> page(std::uint64_t stamp, std::uint64_t flags, std::uint64_t missing = 0) {
    const std::string bytes = recorded("plain");
    const RingEvent first = [&] {
      RingPage recorded_page(bytes_of(bytes), {});
      RingEvent event;
      recorded_page.next(event);
      return event;
    }();
    return PageMaker(stamp)
        .data(0, {reinterpret_cast<const char*>(first.data.data()), first.data.size()})
        .make(flags, missing);
  }

  BlockDecoder decoder_ = decoder_of("6.18");
  CpuStream stream_{1, decoder_};
  NameBook names_;
  KeepingSink sink_;
};

// Read and lost are what happened: 1282 + 95 on one processor, 144 + 79 on the other.
TEST_F(CpuStreamTest, RecordedLossesStandInTheirPlaces) {
  for (const auto& [name, lost, read] :
       {std::tuple("lost0", 1282U, 95U), std::tuple("lost1", 144U, 79U)}) {
    CpuStream stream(0, decoder_);
    KeepingSink sink;
    const std::string bytes = recorded(name);
    for (std::size_t at = 0; at < bytes.size(); at += 4096) {
      stream.take(RingPage(bytes_of(bytes).subspan(at, 4096), {}), {}, names_, sink);
    }
    stream.end(*parse_lost(recorded(std::string(name) + ".stats")), 0, sink);
    EXPECT_EQ(sink.events.size(), read);
    ASSERT_EQ(sink.losses.size(), 1U);
    EXPECT_EQ(sink.losses[0].records, lost);
    EXPECT_EQ(sink.losses[0].cause, abi::TraceLossCause::kKernel);
    EXPECT_EQ(sink.losses[0].first_stamp, 0U);
    EXPECT_EQ(sink.losses[0].last_stamp, sink.events[0].stamp);
    EXPECT_EQ(stream.lost(), lost);
    EXPECT_EQ(stream.unreadable(), 0U);
  }
}

TEST_F(CpuStreamTest, ALossIsToldBetweenItsNeighbours) {
  take(page(1000, 0));
  take(page(2000, kSaid, 7));
  ASSERT_EQ(sink_.losses.size(), 1U);
  EXPECT_EQ(sink_.losses[0].first_stamp, 1000U);
  EXPECT_EQ(sink_.losses[0].last_stamp, 2000U);
  EXPECT_EQ(stream_.lost(), 7U);
  stream_.end(9, 3000, sink_);
  ASSERT_EQ(sink_.losses.size(), 2U);
  EXPECT_EQ(sink_.losses[1].records, 2U);
  EXPECT_EQ(sink_.losses[1].first_stamp, 2000U);
  EXPECT_EQ(sink_.losses[1].last_stamp, 3000U);
}

TEST_F(CpuStreamTest, APageWithoutRoomForTheNumberIsHelpedByTheBuffersCount) {
  take(page(1000, kMissing), 10);
  EXPECT_EQ(stream_.lost(), 10U);
  take(page(2000, kSaid, 4));  // of the ten, as it turns out
  EXPECT_EQ(stream_.lost(), 10U);
  take(page(3000, kSaid, 3));
  EXPECT_EQ(stream_.lost(), 13U);
  take(page(4000, kMissing), 13);
  EXPECT_EQ(sink_.losses.size(), 2U);
  stream_.end(13, 5000, sink_);
  EXPECT_EQ(sink_.lost(), 13U);
}

TEST_F(CpuStreamTest, APageThatMissesNothingTellsNoLoss) {
  take(page(1000, 0), 10);
  EXPECT_EQ(stream_.lost(), 0U);
  EXPECT_TRUE(sink_.losses.empty());
}

TEST_F(CpuStreamTest, WhatCannotBeReadIsALossOfItsOwnKind) {
  take(PageMaker(5).data(0, "neither ours nor long enough").make());
  auto cut = page(6, 0);
  cut[8] = std::byte{40};
  take(cut);
  EXPECT_TRUE(sink_.events.empty());
  EXPECT_EQ(stream_.unreadable(), 2U);
  ASSERT_EQ(sink_.losses.size(), 2U);
  for (const abi::TraceLoss& loss : sink_.losses) {
    EXPECT_EQ(loss.cause, abi::TraceLossCause::kCorrupt);
    EXPECT_EQ(loss.records, 1U);
  }
  EXPECT_EQ(stream_.lost(), 0U);
}

TEST_F(CpuStreamTest, AProcessIsNamedOnce) {
  const std::string bytes = recorded("plain");
  for (int i = 0; i < 2; ++i) stream_.take(RingPage(bytes_of(bytes), {}), {}, names_, sink_);
  ASSERT_EQ(sink_.names.size(), 1U);
  EXPECT_EQ(sink_.names[0].pid, 11311U);
  EXPECT_STREQ(sink_.names[0].name, "python3");
  EXPECT_EQ(sink_.events.size(), 40U);
  EXPECT_EQ(sink_.events[0].stream, 1U);
}

TEST(NameBook, ANewNameIsNewsAgain) {
  NameBook names;
  EXPECT_TRUE(names.news(5, "sh"));
  EXPECT_FALSE(names.news(5, "sh"));
  EXPECT_TRUE(names.news(5, "dd"));
  EXPECT_TRUE(names.news(5 + NameBook::kPlaces, "cp"));
  EXPECT_FALSE(names.news(0, "idle"));
  EXPECT_FALSE(names.news(6, ""));
  const auto longest = names.news(7, "0123456789abcdefgh");
  ASSERT_TRUE(longest);
  EXPECT_EQ(std::string_view(longest->name, 16), "0123456789abcdef");
}

TEST(ParseLost, AddsWhatTheKernelCounts) {
  const std::string text =
      "entries: 4\noverrun: 10\ncommit overrun: 200\nbytes: 5\n"
      "dropped events: 3000\nread events: 1\n";
  EXPECT_EQ(parse_lost(text), 3210U);
  EXPECT_FALSE(parse_lost("entries: 4\noverrun: 10\n"));
  EXPECT_FALSE(parse_lost("entries: 4\noverrun: x\ncommit overrun: 0\ndropped events: 0\n"));
}

}  // namespace
}  // namespace fairlead::trace
