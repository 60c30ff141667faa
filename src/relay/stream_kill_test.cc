// SPDX-License-Identifier: Apache-2.0
//
// Either side dies between any two of its accesses to shared memory.  What is left is what a
// process killed there leaves: the test's platform jumps out of the call at the n-th access, and
// the object is never used again.
#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <setjmp.h>

#include "relay/testing_stream.h"

namespace fairlead::relay {
namespace {

// Counts down at each access; at zero the process is dead.
struct Fuse {
  static inline std::uint64_t left = 0;
  static inline bool lit = false;
  static inline jmp_buf out;
  static void burn() noexcept {
    if (lit && left-- == 0) longjmp(out, 1);
  }
};

// Does `work` until the n-th access; true if it came to its end.
template <typename Work>
bool until_killed(std::uint64_t fuse, const Work& work) {
  Fuse::left = fuse;
  if (setjmp(Fuse::out) == 0) {
    Fuse::lit = true;
    work();
    Fuse::lit = false;
    return true;
  }
  Fuse::lit = false;
  return false;
}

struct MortalMemory : SharedMemory {
  using SharedMemory::SharedMemory;
  void put(std::uint64_t offset, const void* from, std::size_t bytes) noexcept {
    const auto* data = static_cast<const std::byte*>(from);
    for (std::size_t i = 0; i < bytes; i += 8) {
      Fuse::burn();
      SharedMemory::put(offset + i, data + i, std::min<std::size_t>(8, bytes - i));
    }
  }
  void put_words(std::uint64_t offset, const void* from, std::size_t bytes) noexcept {
    for (std::size_t i = 0; i < bytes; i += 8) {
      Fuse::burn();
      SharedMemory::put_words(offset + i, static_cast<const std::byte*>(from) + i, 8);
    }
  }
};

struct MortalPlatform : Production {
  using Memory = MortalMemory;
  template <auto kSite, typename T>
  static T load(const std::atomic<T>& word) noexcept {
    Fuse::burn();
    return Production::load<kSite>(word);
  }
  template <auto kSite, typename T>
  static void store(std::atomic<T>& word, T value) noexcept {
    Fuse::burn();
    Production::store<kSite>(word, value);
  }
};

using Stream = BasicTestStream<MortalPlatform>;

std::uint64_t lost_of(const abi::RelayStreamIn& in) {
  return in.lost_full + in.lost_big + in.lost_state + in.lost_nested;
}

// attempts + nested = delivered + lost + overwritten + (0 or 1), after all has been read.
::testing::AssertionResult adds_up(Stream& stream) {
  const auto sums = stream.reader().sums();
  const std::uint64_t begun = stream.in().attempts + stream.in().lost_nested;
  const std::uint64_t ended = sums.delivered + sums.overwritten + sums.lost;
  if (sums.corrupt == 0 && sums.lost == lost_of(stream.in()) && begun - ended <= 1) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure()
         << "begun " << begun << ", delivered " << sums.delivered << ", lost " << sums.lost
         << ", overwritten " << sums.overwritten << ", corrupt " << sums.corrupt;
}

class StreamKillTest : public ::testing::TestWithParam<StreamKind> {
 protected:
  TestStreamOptions options() const {
    return {.item_bytes = GetParam().item_bytes, .overwrite = GetParam().overwrite};
  }
  // Some that are read, many that are lost or overwritten, some that are too long.  Nothing here
  // may own memory: nobody would free it.
  void write_some(Stream& stream) const {
    for (int i = 0; i < kSome; ++i) {
      const std::size_t bytes = GetParam().item_bytes != 0 ? GetParam().item_bytes : 90u + i % 50;
      stream.write({text, i % 9 == 8 ? sizeof text : bytes});
    }
  }

  static constexpr int kSome = 200;
  char text[5000] = {};
};

TEST_P(StreamKillTest, AProducerLeavesAtMostOneRecordOpen) {
  bool survived = false;
  for (std::uint64_t fuse = 0; !survived; ++fuse) {
    Stream stream(options());
    survived = until_killed(fuse, [&] { write_some(stream); });
    for (const std::string& line : stream.read_all()) ASSERT_NE(line, "broken") << fuse;
    ASSERT_TRUE(adds_up(stream)) << "after " << fuse << " accesses";
  }
}

TEST_P(StreamKillTest, AConsumersSuccessorMissesNothingAndGetsNothingTwice) {
  bool survived = false;
  for (std::uint64_t fuse = 0; !survived; ++fuse) {
    Stream stream(options());
    Piece piece;
    for (int round = 0; round < 3; ++round) {
      write_some(stream);
      if (round == 1) {
        survived = until_killed(fuse, [&] {
          while (stream.look(piece) != Look::kEmpty) stream.reader().take();
        });
        stream.new_reader();
      }
    }
    stream.read_all();
    ASSERT_TRUE(adds_up(stream)) << "after " << fuse << " accesses";
    ASSERT_EQ(stream.in().attempts, 3u * kSome);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, StreamKillTest,
                         ::testing::Values(StreamKind{false, 0}, StreamKind{true, 0},
                                           StreamKind{false, 26}, StreamKind{true, 26}),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace fairlead::relay
