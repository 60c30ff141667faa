// SPDX-License-Identifier: Apache-2.0
#include "trace/ring_page.h"

#include <gtest/gtest.h>

#include "trace/testing_data.h"
#include "trace/testing_sink.h"

namespace fairlead::trace {
namespace {

struct Read {
  std::vector<std::uint64_t> stamps;
  std::vector<std::string> data;
  bool broken = false;
};

Read read_all(RingPage page) {
  Read read;
  for (RingEvent event; page.next(event);) {
    read.stamps.push_back(event.stamp);
    read.data.emplace_back(reinterpret_cast<const char*>(event.data.data()), event.data.size());
  }
  read.broken = page.broken();
  return read;
}

using Stamps = std::vector<std::uint64_t>;

// Stamps as the kernel printed them for the same page.
TEST(RingPage, ReadsARecordedPage) {
  const std::string bytes = recorded("plain");
  const Read read = read_all(RingPage(bytes_of(bytes), {}));
  ASSERT_EQ(read.stamps.size(), 20U);
  EXPECT_FALSE(read.broken);
  EXPECT_EQ(Stamps(read.stamps.begin(), read.stamps.begin() + 5),
            (Stamps{1335669974329782, 1335669974347569, 1335669974357733, 1335669974615025,
                    1335669974704002}));
  EXPECT_EQ(read.stamps.back(), 1335669974946468U);
  EXPECT_EQ(read.data[0].size(), 56U);
  EXPECT_EQ(read.data[2].size(), 68U);
}

TEST(RingPage, ATimeExtendOfARecordedPage) {
  const std::string bytes = recorded("idle");
  EXPECT_EQ(read_all(RingPage(bytes_of(bytes), {})).stamps,
            (Stamps{1335670203114870, 1335670203132720, 1335670203143136, 1335670203236166,
                    1335670413908607, 1335670413926961, 1335670413938070, 1335670414018773}));
}

TEST(RingPage, MissingEventsOfRecordedPages) {
  for (const auto& [name, missing] : {std::pair("lost0", 1282U), std::pair("lost1", 144U)}) {
    const std::string bytes = recorded(name);
    const RingPage first(bytes_of(bytes).first(4096), {});
    EXPECT_TRUE(first.misses_events());
    EXPECT_EQ(first.missing(), missing);
    const RingPage second(bytes_of(bytes).subspan(4096), {});
    EXPECT_FALSE(second.misses_events());
    EXPECT_FALSE(second.missing());
  }
}

TEST(RingPage, EveryKindOfEvent) {
  const std::string big(120, 'b');
  const auto bytes = PageMaker(1000)
                         .data(0, "four")
                         .data(5, big)        // too long for type_len
                         .special(29, 7, 12)  // discarded: its delta counts
                         .data(1, "next")
                         .special(29, 1, 8)  // a delta of 1 stands for none
                         .data(1, "last")
                         .special(30, 3, 2)  // + 3 + 2 · 2^27
                         .data(4, "wide")
                         .end()
                         .make();
  const Read read = read_all(RingPage(bytes, {}));
  EXPECT_EQ(read.stamps, (Stamps{1000, 1005, 1013, 1014, 1014 + 3 + (2ULL << 27) + 4}));
  EXPECT_EQ(read.data, (std::vector<std::string>{"four", big, "next", "last", "wide"}));
  EXPECT_FALSE(read.broken);
}

TEST(RingPage, AnAbsoluteStampKeepsTheHighBitsAndCarries) {
  constexpr std::uint64_t kHigh = 1ULL << 60;
  const auto at = [](std::uint64_t page_stamp, std::uint64_t low) {
    const auto bytes =
        PageMaker(page_stamp)
            .special(31, low & ((1U << 27) - 1), static_cast<std::uint32_t>(low >> 27))
            .data(2, "data")
            .make();
    return read_all(RingPage(bytes, {})).stamps.at(0);
  };
  EXPECT_EQ(at(5, 123'456'789'012), 123'456'789'014U);
  EXPECT_EQ(at(1000, 7), 9U);  // a clock that was set back is the clock's affair
  EXPECT_EQ(at(kHigh + 1000, 2000), kHigh + 2002);
  EXPECT_EQ(at(kHigh + 1000, 7), kHigh + (1ULL << 59) + 9);
}

TEST(RingPage, WhatFollowsTheEndIsNotRead) {
  PageMaker maker(1);
  maker.data(0, "here").end().data(0, "ghost");
  EXPECT_EQ(read_all(RingPage(maker.make(), {})).data, std::vector<std::string>{"here"});
}

TEST(RingPage, MissingWithAndWithoutANumber) {
  PageMaker maker(1);
  maker.data(0, "here");
  const auto silent = maker.make(1U << 31);
  EXPECT_TRUE(RingPage(silent, {}).misses_events());
  EXPECT_FALSE(RingPage(silent, {}).missing());
  const auto bytes = maker.make((1U << 31) | (1U << 30), 77);
  EXPECT_EQ(RingPage(bytes, {}).missing(), 77U);
  EXPECT_EQ(read_all(RingPage(bytes, {})).data.size(), 1U);
  EXPECT_FALSE(RingPage(maker.make(1U << 30, 77), {}).missing());
}

TEST(RingPage, ABrokenPageEndsWhereItBreaks) {
  const auto broken_after = [](PageMaker& maker) {
    const auto bytes = maker.make();
    const Read read = read_all(RingPage(bytes, {}));
    EXPECT_TRUE(read.broken);
    return read.stamps.size();
  };
  PageMaker zero_length = PageMaker(1).data(0, "good");
  zero_length.special(29, 5, 4);
  PageMaker wild_length = PageMaker(1).data(0, "good");
  const auto wild = [&] {
    auto bytes = wild_length.special(0, 5, 4064).make();
    return bytes;
  }();
  const Read read = read_all(RingPage(wild, {}));
  EXPECT_TRUE(read.broken);
  EXPECT_EQ(read.stamps.size(), 1U);
  PageMaker cut = PageMaker(1).data(0, "good").data(1, "more");
  auto bytes = cut.make();
  bytes[8] = std::byte{12};  // commit ends within the second
  EXPECT_TRUE(read_all(RingPage(bytes, {})).broken);
  PageMaker no_second = PageMaker(1).data(0, "good");
  no_second.special(30, 1, 0);
  auto half = no_second.make();
  half[8] = std::byte{12};
  EXPECT_TRUE(read_all(RingPage(half, {})).broken);
  EXPECT_FALSE(read_all(RingPage(zero_length.make(), {})).broken);
  zero_length.special(29, 5, 4);
  auto small = zero_length.make();
  small[16 + 8 + 4] = std::byte{3};  // a discarded event shorter than its length
  EXPECT_TRUE(read_all(RingPage(small, {})).broken);
  auto unaligned = cut.make();
  unaligned[8] = std::byte{18};  // commit ends within a word
  EXPECT_TRUE(read_all(RingPage(unaligned, {})).broken);
  PageMaker tiny = PageMaker(1);
  tiny.special(0, 1, 3);
  EXPECT_EQ(broken_after(tiny), 0U);
}

// Taken for no length, it would make events of what follows.
TEST(RingPage, ADiscardedEventHasALength) {
  const std::string end("\x1d\0\0\0", 4);
  auto bytes = PageMaker(1).data(0, "good").special(29, 5, 4).data(0, end + end + end + end).make();
  bytes[16 + 12] = std::byte{0};
  const Read read = read_all(RingPage(bytes, {}));
  EXPECT_TRUE(read.broken);
  EXPECT_EQ(read.data, std::vector<std::string>{"good"});
}

TEST(RingPage, ACommitBeyondThePageAndAShortPageAreBroken) {
  auto bytes = PageMaker(1).data(0, "good").make();
  EXPECT_TRUE(RingPage(std::span(bytes).first(4095), {}).broken());
  const std::uint32_t commit = 4081;
  std::memcpy(bytes.data() + 8, &commit, sizeof commit);
  EXPECT_TRUE(RingPage(bytes, {}).broken());
  const std::uint32_t wide = 4096 + 8;
  std::memcpy(bytes.data() + 8, &wide, sizeof wide);
  EXPECT_TRUE(RingPage(bytes, {}).broken());
  const std::uint32_t full = 4080U | (1U << 31) | (1U << 30);  // no room for the number it promises
  std::memcpy(bytes.data() + 8, &full, sizeof full);
  EXPECT_TRUE(RingPage(bytes, {}).broken());
  EXPECT_FALSE(RingPage(bytes, {}).missing());
}

TEST(RingPage, TheShapeIsTheKernels) {
  const auto shape = parse_page_shape(recorded("6.18/header_page"));
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->stamp_at, 0U);
  EXPECT_EQ(shape->commit_at, 8U);
  EXPECT_EQ(shape->data_at, 16U);
  EXPECT_EQ(shape->bytes(), 4096U);
  const std::string stamp = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\n";
  const std::string commit = "\tfield: local_t commit;\toffset:8;\tsize:8;\n";
  EXPECT_TRUE(parse_page_shape(stamp + commit + "\tfield: char data;\toffset:16;\tsize:65520;\n"));
  for (const std::string& bad :
       {std::string(), stamp + commit, commit + "\tfield: char data;\toffset:16;\tsize:4080;\n",
        stamp + commit + "\tfield: char data;\toffset:8;\tsize:4080;\n",
        "\tfield: u64 timestamp;\toffset:9;\tsize:8;\n" + commit +
            "\tfield: char data;\toffset:16;\tsize:4080;\n",
        stamp + commit + "\tfield: char data;\toffset:16;\tsize:65521;\n"}) {
    EXPECT_FALSE(parse_page_shape(bad)) << bad;
  }
}

}  // namespace
}  // namespace fairlead::trace
