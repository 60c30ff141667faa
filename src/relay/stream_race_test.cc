// SPDX-License-Identifier: Apache-2.0
//
// Writer and reader as two threads over one stream, as fast as each can: plain memory in mode
// discard, so that ThreadSanitizer sees every copy that nothing orders.
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/sanitizers.h"
#include "relay/testing_stream.h"

namespace fairlead::relay {
namespace {

constexpr std::uint64_t kRecords = base::kSanitized ? 20'000 : 200'000;
constexpr std::uint32_t kItemBytes = 40;

class StreamRaceTest : public ::testing::TestWithParam<StreamKind> {
 protected:
  using Payload = std::array<std::uint64_t, 32>;

  static std::uint64_t word_of(std::uint64_t number, std::size_t index) {
    return number * 1'000'003 + index;
  }
  std::size_t bytes_of(std::uint64_t number) const {
    if (GetParam().item_bytes != 0) return GetParam().item_bytes;
    return (1 + number * 7 % std::tuple_size_v<Payload>)*sizeof(std::uint64_t);
  }

  void write_all() {
    for (std::uint64_t number = 1; number <= kRecords; ++number) {
      Payload payload;
      for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = word_of(number, i);
      const char* data = reinterpret_cast<const char*>(payload.data());
      written_ += stream_.write({data, bytes_of(number)}) == Written::kDone;
      // Lets the reader come close, so that both are at work in one sub-buffer.
      if (number % 32 == 0) std::this_thread::yield();
    }
    over_.store(true, std::memory_order_release);
  }

  void read_all() {
    while (true) {
      const bool over = over_.load(std::memory_order_acquire);
      Piece piece;
      const Look look = stream_.look(piece);
      ASSERT_NE(look, Look::kBroken);
      if (look == Look::kEmpty) {
        if (over) return;
        std::this_thread::yield();
        continue;
      }
      ASSERT_GT(piece.first, last_);
      ASSERT_NO_FATAL_FAILURE(check(piece));
      stream_.reader().take();
    }
  }

  // Each record is the one that its number says, and whole.
  void check(const Piece& piece) {
    const std::byte* at = piece.data.data();
    for (std::uint64_t number = piece.first; number < piece.first + piece.records; ++number) {
      const std::size_t bytes = bytes_of(number);
      if (GetParam().item_bytes == 0) {
        abi::RelayRecord record;
        std::memcpy(&record, at, sizeof record);
        ASSERT_EQ(record.bytes, sizeof record + bytes);
        at += sizeof record;
      }
      for (std::size_t i = 0; i < bytes / sizeof(std::uint64_t); ++i) {
        std::uint64_t word;
        std::memcpy(&word, at + i * sizeof word, sizeof word);
        ASSERT_EQ(word, word_of(number, i)) << "word " << i << " of record " << number;
      }
      at += bytes;
      last_ = number;
    }
    ASSERT_EQ(at, piece.data.data() + piece.data.size());
  }

  TestStream stream_{{.item_bytes = GetParam().item_bytes,
                      .overwrite = GetParam().overwrite,
                      .first = (std::uint64_t{1} << 63) - 4 * 4096}};
  std::atomic<bool> over_{false};
  std::uint64_t written_ = 0;
  std::uint64_t last_ = 0;  // number of the last record that was read
};

TEST_P(StreamRaceTest, EachRecordComesWholeAndInOrderOrIsCounted) {
  std::thread writer([this] { write_all(); });
  read_all();
  writer.join();
  const auto sums = stream_.reader().sums();
  EXPECT_EQ(sums.corrupt, 0u);
  EXPECT_EQ(sums.delivered + sums.overwritten, written_);
  EXPECT_EQ(sums.lost, kRecords - written_);
  EXPECT_EQ(GetParam().overwrite ? sums.lost : sums.overwritten, 0u);
  EXPECT_GT(sums.delivered, 0u);
}

INSTANTIATE_TEST_SUITE_P(Modes, StreamRaceTest,
                         ::testing::Values(StreamKind{false, 0}, StreamKind{true, 0},
                                           StreamKind{false, kItemBytes},
                                           StreamKind{true, kItemBytes}),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace fairlead::relay
