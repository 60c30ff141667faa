// SPDX-License-Identifier: Apache-2.0
#include "trace/block_decoder.h"

#include <gtest/gtest.h>

#include "trace/ring_page.h"
#include "trace/testing_data.h"
#include "trace/testing_sink.h"

namespace fairlead::trace {
namespace {

using abi::BlockAct;
using abi::BlockCategory;

std::uint32_t bits(std::initializer_list<BlockCategory> categories) {
  std::uint32_t all = 0;
  for (const BlockCategory one : categories) all |= 1U << (16 + static_cast<unsigned>(one));
  return all;
}

constexpr std::uint32_t kLoop0 = 7U << 20;

TEST(BlockDecoder, DecodesARecordedPage) {
  const BlockDecoder decoder = decoder_of("6.18");
  const std::string bytes = recorded("plain");
  RingPage page(bytes_of(bytes), {});
  const std::uint64_t sectors[] = {0, 8, 16, 1024, 8000};
  using enum BlockCategory;
  const std::uint32_t actions[] = {
      1 | bits({kQueue, kRead, kSync}), 4 | bits({kQueue, kRead, kSync}),
      7 | bits({kIssue, kRead, kSync}), 8 | bits({kComplete, kRead, kSync})};
  std::size_t count = 0;
  for (RingEvent raw; page.next(raw); ++count) {
    const auto decoded = decoder.decode(raw.data, 3);
    ASSERT_TRUE(decoded) << count;
    const bool completes = count % 4 == 3;
    EXPECT_EQ(decoded->event.sector, sectors[count / 4]);
    EXPECT_EQ(decoded->event.action, actions[count % 4]);
    EXPECT_EQ(decoded->event.bytes, 4096U);
    EXPECT_EQ(decoded->event.device, kLoop0);
    EXPECT_EQ(decoded->event.pid, completes ? 14U : 11311U);
    EXPECT_EQ(decoded->event.cpu, 3U);
    EXPECT_EQ(decoded->event.error, 0U);
    EXPECT_EQ(decoded->comm, completes ? "" : "python3");
  }
  EXPECT_EQ(count, 20U);
}

// Three reads in a guest, through a scheduler; what its kernel printed of the same page.
TEST(BlockDecoder, DecodesAGuestsPage) {
  const BlockDecoder decoder = decoder_of("6.1");
  const std::string bytes = recorded("guest");
  RingPage page(bytes_of(bytes), {});
  const struct {
    BlockAct act;
    std::uint64_t stamp;
    std::uint32_t pid;
    std::string_view comm;
  } known[] = {
      {BlockAct::kQueue, 27962894610, 92, "busybox"},
      {BlockAct::kGetRequest, 27964175904, 92, "busybox"},
      {BlockAct::kInsert, 27973933617, 92, "busybox"},
      {BlockAct::kIssue, 27974779392, 34, "kworker/0:1H"},
      {BlockAct::kComplete, 27990829860, 0, ""},
      {BlockAct::kQueue, 28043153481, 93, "busybox"},
  };
  const std::uint64_t sectors[] = {0, 40, 800};
  std::size_t count = 0;
  for (RingEvent raw; page.next(raw); ++count) {
    const auto decoded = decoder.decode(raw.data, 0);
    ASSERT_TRUE(decoded) << count;
    EXPECT_EQ(decoded->event.sector, sectors[count / 5]);
    EXPECT_EQ(decoded->event.bytes, 4096U);
    EXPECT_EQ(decoded->event.device, 254U << 20);
    if (count >= std::size(known)) continue;
    EXPECT_EQ(BlockAct(decoded->event.action & 0xffff), known[count].act);
    EXPECT_EQ(raw.stamp, known[count].stamp);
    EXPECT_EQ(decoded->event.pid, known[count].pid);
    EXPECT_EQ(decoded->comm, known[count].comm);
  }
  EXPECT_EQ(count, 15U);
}

TEST(BlockDecoder, TheKernelsLetters) {
  using enum BlockCategory;
  const struct {
    const char* rwbs;
    std::uint32_t categories;
  } known[] = {
      {"R", bits({kRead})},
      {"RA", bits({kRead, kAhead})},
      {"RSM", bits({kRead, kSync, kMeta})},
      {"W", bits({kWrite})},
      {"WFS", bits({kWrite, kFua, kSync})},
      {"FWFS", bits({kFlush, kWrite, kFua, kSync})},
      {"FWS", bits({kFlush, kWrite, kSync})},
      {"F", bits({kFlush})},
      {"FF", bits({kFlush})},
      {"FFS", bits({kFlush, kSync})},
      {"FN", bits({kFlush})},
      {"D", bits({kDiscard})},
      {"DS", bits({kDiscard, kSync})},
      {"DE", bits({kDiscard})},
      {"WZS", bits({kWrite, kSync})},
      {"ZA", bits({kWrite})},
      {"ZRA", 0},
      {"ZFS", bits({kSync})},
      {"N", 0},
      {"", 0},
      {"RU", bits({kRead})},
  };
  for (const auto& one : known) EXPECT_EQ(categories_of(one.rwbs), one.categories) << one.rwbs;
}

std::string format_text(const char* name, std::string_view fields) {
  std::string text = std::string("name: ") + name + "\nID: 9\nformat:\n";
  text += "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n";
  text += "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n";
  return text.append(fields);
}

constexpr std::string_view kMost =
    "\tfield:dev_t dev;\toffset:8;\tsize:4;\tsigned:0;\n"
    "\tfield:sector_t sector;\toffset:16;\tsize:8;\tsigned:0;\n"
    "\tfield:char rwbs[8];\toffset:24;\tsize:8;\tsigned:0;\n";

struct Record {
  std::array<std::byte, 64> bytes{};
  template <typename T>
  Record& put(std::size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
    return *this;
  }
};

Record plain_record() {
  return Record()
      .put<std::uint16_t>(0, 9)
      .put<std::uint32_t>(4, 77)
      .put<std::uint32_t>(8, kLoop0)
      .put<std::uint64_t>(16, 1234)
      .put<char>(24, 'W');
}

TEST(BlockDecoder, FieldsAreTakenWhereTheFormatHasThem) {
  BlockDecoder decoder;
  const std::string text = format_text("block_rq_complete", kMost) +
                           "\tfield:unsigned int nr_sector;\toffset:40;\tsize:4;\tsigned:0;\n"
                           "\tfield:int error;\toffset:32;\tsize:4;\tsigned:1;\n";
  ASSERT_TRUE(decoder.add(*EventFormat::parse(text)));
  Record record = plain_record().put<std::uint32_t>(40, 3).put<std::int32_t>(32, -5);
  const auto decoded = decoder.decode(record.bytes, 0);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->event.bytes, 1536U);
  EXPECT_EQ(decoded->event.error, 5U);
  EXPECT_EQ(decoded->event.sector, 1234U);
  EXPECT_EQ(decoded->event.pid, 77U);
  record.put<std::int32_t>(32, INT32_MIN);
  EXPECT_EQ(decoder.decode(record.bytes, 0)->event.error, 4095U);
  record.put<std::int32_t>(32, 5);
  EXPECT_EQ(decoder.decode(record.bytes, 0)->event.error, 0U);
  EXPECT_TRUE(decoder.decode(std::span(record.bytes).first(44), 0));
  EXPECT_FALSE(decoder.decode(std::span(record.bytes).first(43), 0));
  EXPECT_FALSE(decoder.decode(std::span(record.bytes).first(1), 0));
  record.put<std::uint16_t>(0, 10);
  EXPECT_FALSE(decoder.decode(record.bytes, 0));
}

TEST(BlockDecoder, ASplitSaysWhereAndARemapFromWhere) {
  BlockDecoder split;
  ASSERT_TRUE(split.add(
      *EventFormat::parse(format_text("block_split", kMost) +
                          "\tfield:sector_t new_sector;\toffset:32;\tsize:8;\tsigned:0;\n")));
  const auto cut = split.decode(plain_record().put<std::uint64_t>(32, 1300).bytes, 0);
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->event.aux, 1300U);
  EXPECT_EQ(cut->event.bytes, 0U);
  EXPECT_EQ(cut->event.action & 0xffff, static_cast<std::uint32_t>(BlockAct::kSplit));
  EXPECT_EQ(cut->event.action >> 16, 1U << static_cast<unsigned>(BlockCategory::kWrite));
  BlockDecoder remap;
  ASSERT_TRUE(remap.add(
      *EventFormat::parse(format_text("block_bio_remap", kMost) +
                          "\tfield:unsigned int nr_sector;\toffset:32;\tsize:4;\tsigned:0;\n"
                          "\tfield:dev_t old_dev;\toffset:36;\tsize:4;\tsigned:0;\n"
                          "\tfield:sector_t old_sector;\toffset:40;\tsize:8;\tsigned:0;\n")));
  const auto moved = remap.decode(plain_record()
                                      .put<std::uint32_t>(32, 8)
                                      .put<std::uint32_t>(36, 253U << 20 | 2)
                                      .put<std::uint64_t>(40, 34)
                                      .bytes,
                                  0);
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->event.request, 253U << 20 | 2);
  EXPECT_EQ(moved->event.aux, 34U);
  EXPECT_EQ(moved->event.bytes, 4096U);
}

TEST(BlockDecoder, FormatsWithoutAFieldAreRefused) {
  BlockDecoder decoder;
  const std::string queue = recorded("6.18/block_bio_queue");
  EXPECT_EQ(decoder.add(*EventFormat::parse(format_text("sched_switch", kMost))).error().kind(),
            base::ErrorKind::kNotFound);
  const auto without = [&](const std::string& text, std::string_view what, std::string_view with) {
    std::string other = text;
    other.replace(other.find(what), what.size(), with);
    return decoder.add(*EventFormat::parse(other));
  };
  ASSERT_TRUE(decoder.add(*EventFormat::parse(queue)));
  for (const char* field :
       {"common_type", "common_pid", "dev_t dev", "sector_t sector", "nr_sector", "rwbs"}) {
    EXPECT_FALSE(without(queue, field, "other")) << field;
  }
  EXPECT_FALSE(without(queue, "offset:16;\tsize:8", "offset:16;\tsize:4"));
  EXPECT_FALSE(without(recorded("6.18/block_split"), "new_sector", "other"));
  EXPECT_FALSE(without(recorded("6.18/block_bio_remap"), "old_dev", "other"));
  EXPECT_TRUE(without(queue, "comm[16]", "other"));
}

}  // namespace
}  // namespace fairlead::trace
