// SPDX-License-Identifier: Apache-2.0
//
// Model check of a stream: one writer, one reader, two sub-buffers of 256 bytes, positions that
// pass 2^63.  Held against it: records arrive once, in order and whole, without a data race; what
// was not written is told, in its place; the counts add up, also when either side dies.
//
// And of two clocks of which one is so much ahead: whatever the asker measures, that lies within,
// also when answers come too late, and when another asker goes on.
#include <optional>

#include "relay/clock_sync.h"
#include "relay/stream_reader.h"
#include "relay/stream_writer.h"

// After everything of the library.
#include "../../tests/model/mutants.h"
#include "../../tests/model/relacy_stream.h"

namespace fairlead::relay {
namespace {

using model::run_test;
using ModelCheck = model::ModelCheck<StreamProtocol>;

constexpr std::uint32_t kShift = 8;
constexpr std::uint32_t kBytes = 1u << kShift;  // of a sub-buffer, half of it the header
constexpr std::uint32_t kTooBig = kBytes;
constexpr std::uint64_t kFirst = (std::uint64_t{1} << 63) - kBytes;

constexpr auto kNone = static_cast<std::uint32_t>(abi::RelayConsumerState::kNone);
constexpr auto kConnected = static_cast<std::uint32_t>(abi::RelayConsumerState::kConnected);

enum class Dies : std::uint8_t { kNobody, kWriter, kReader };

struct Options {
  bool overwrite = false;
  bool items = false;
  std::uint32_t sub_buffers = 2;
  unsigned attempts = 5;
  std::uint32_t payload = 40;
  unsigned big = 0;  // which of the attempts is too long
  Dies dies = Dies::kNobody;
  unsigned most = 0;    // stores before the death
  bool late = false;    // the reader connects when the writer is at work
  bool nested = false;  // a signal handler writes once, in the middle of a write
  unsigned looks = 2;   // of the reader, before it waits for the writer's end
};

template <Options kOptions>
struct StreamTest : rl::test_suite<StreamTest<kOptions>, 2> {
  using P = StreamPlatform<kOptions.overwrite>;
  using Writer = BasicStreamWriter<P>;
  using Reader = BasicStreamReader<P>;

  static constexpr StreamShape kShape{0, kShift, kOptions.sub_buffers,
                                      kOptions.items ? kOptions.payload : 0, kOptions.overwrite};

  struct Cell : P::Memory::Cell {
    Cell() : P::Memory::Cell(0) {}
  };
  static_assert(sizeof(Cell) == sizeof(typename P::Memory::Cell));

  Cell cells[kBytes / 8 * kOptions.sub_buffers];
  ModelIn in{kFirst};
  ModelOut out;
  typename P::Word32 consumer{kOptions.late ? kNone : kConnected};
  std::optional<Writer> writer;
  std::optional<Reader> reader;
  model::Doorbell ended;

  // The writer's account; the reader looks at it once the writer has ended.
  unsigned done = 0;
  unsigned full = 0;
  unsigned big = 0;
  unsigned nobody = 0;
  unsigned nested = 0;

  // The reader's.
  std::byte room[kBytes];
  Losses told;
  std::uint64_t last = 0;  // number of the last record

  StreamTest() {
    begin_run(out, cells, kFirst);
    if (kOptions.nested) {
      interrupted = this;
      interrupt = [](void* self) { static_cast<StreamTest*>(self)->handler(); };
    }
  }

  void thread(unsigned index) {
    if ((kOptions.dies == Dies::kWriter && index == 0) ||
        (kOptions.dies == Dies::kReader && index == 1)) {
      fuse.left = rl::rand(kOptions.most);
      fuse.thread = index;
    }
    index == 0 ? write() : read();
  }

  typename P::Memory memory() { return typename P::Memory(cells); }

  void write() {
    writer.emplace(kShape, memory(), in, out, consumer, false, kFirst);
    if (setjmp(fuse.out[0]) == 0) {
      for (unsigned number = 1; number <= kOptions.attempts; ++number) attempt(number);
    }
    ended.ring();
  }

  static std::uint64_t word_of(std::uint64_t number, std::uint64_t index) {
    return number * 16 + index;
  }

  void attempt(unsigned number) {
    std::uint64_t payload[kTooBig / 8];
    for (unsigned i = 0; i < kTooBig / 8; ++i) payload[i] = word_of(number, i);
    const bool too_big = number == kOptions.big;
    switch (writer->write(7, 1, payload, too_big ? kTooBig : kOptions.payload)) {
      case Written::kDone: ++done; break;
      case Written::kFull: ++full; break;
      case Written::kTooBig: ++big; break;
      case Written::kNobody: ++nobody; break;
      default: RL_ASSERT(false);
    }
  }

  void handler() {
    interrupt = nullptr;
    RL_ASSERT(writer->write(7, 1, nullptr, 0) == Written::kNested);
    ++nested;
  }

  void new_reader() { reader.emplace(kShape, memory(), in, out, kFirst); }

  void read() {
    new_reader();
    if (kOptions.late) consumer.store(kConnected, rl::mo_relaxed, $);
    if (setjmp(fuse.out[1]) == 0) {
      for (unsigned i = 0; i < kOptions.looks; ++i) {
        if (!step(rl::rand(4) != 0)) rl::yield(1, $);
      }
      at_most_one_is_open();
    } else {
      told = {};
      last = 0;
      fuse.thread = ~0u;
      new_reader();
      step(true);
    }
    if (kOptions.dies == Dies::kReader) fuse.thread = ~0u;
    ended.wait();
    drain();
    adds_up();
  }

  // One look; true if there was something.
  bool step(bool take) {
    Piece piece;
    const Look look = reader->look(room, piece);
    RL_ASSERT(look != Look::kBroken);
    if (look == Look::kEmpty) return false;
    RL_ASSERT(piece.losses.corrupt == 0);
    RL_ASSERT(piece.first > last);
    check(piece);
    if (!take) return true;
    if (piece.records != 0) last = piece.first + piece.records - 1;
    told.full += piece.losses.full;
    told.big += piece.losses.big;
    told.state += piece.losses.state;
    told.nested += piece.losses.nested;
    reader->take();
    return true;
  }

  // Each record says which attempt it is, and is whole.
  static void check(const Piece& piece) {
    const std::uint64_t stride = stride_of(kShape, kOptions.payload);
    RL_ASSERT(piece.data.size() == piece.records * stride);
    for (std::uint32_t record = 0; record < piece.records; ++record) {
      std::uint64_t words[kBytes / 8];
      __builtin_memcpy(words, piece.data.data() + record * stride, stride);
      const std::uint64_t* payload = kOptions.items ? words : words + 2;
      for (unsigned i = 0; i < kOptions.payload / 8; ++i) {
        RL_ASSERT(payload[i] == word_of(piece.first + record, i));
      }
    }
  }

  // All that there is; kEmpty alone may mean that it has just changed.
  void drain() {
    while (step(true) || reader->position() != in.commit.load(rl::mo_relaxed, $)) {
    }
  }

  // Attempts that have an end, as far as was told.
  std::uint64_t settled() const {
    const auto sums = reader->sums();
    return sums.delivered + sums.overwritten + sums.corrupt + sums.lost - told.nested;
  }

  // Whoever sees the count of attempts finds all of them but the last.
  void at_most_one_is_open() {
    const std::uint64_t begun = P::template load<Site::kSeeAttempts>(in.attempts);
    drain();
    RL_ASSERT(settled() + 1 >= begun);
    RL_ASSERT(settled() <= P::template load<Site::kSeeAttempts>(in.attempts));
  }

  void adds_up() {
    const auto sums = reader->sums();
    const std::uint64_t begun = in.attempts.load(rl::mo_relaxed, $);
    const std::uint64_t ended = sums.delivered + sums.overwritten + sums.lost;
    RL_ASSERT(sums.corrupt == 0);
    RL_ASSERT(begun + nested - ended <= (kOptions.dies == Dies::kWriter ? 1 : 0));
    RL_ASSERT(sums.lost == full + big + nobody + nested || kOptions.dies == Dies::kWriter);
    RL_ASSERT(kOptions.overwrite || sums.overwritten == 0);
    if (kOptions.dies == Dies::kNobody) {
      RL_ASSERT(begun == kOptions.attempts);
      RL_ASSERT(kOptions.overwrite || sums.delivered == done);
      RL_ASSERT(told.full == full && told.big == big);
      RL_ASSERT(told.state == nobody && told.nested == nested);
    }
  }
};

// Who takes over without the kernel's word sees the notes of one time, whole.
struct NotesTest : rl::test_suite<NotesTest, 2> {
  using P = StreamPlatform<false>;
  static constexpr StreamShape kShape{0, kShift, 2, 0, false};

  struct Cell : P::Memory::Cell {
    Cell() : P::Memory::Cell(0) {}
  };
  Cell cells[kBytes / 8 * 2];
  ModelIn in{kFirst};
  ModelOut out;
  P::Word32 consumer{kConnected};

  NotesTest() { begin_run(out, cells, kFirst); }

  void thread(unsigned index) {
    if (index == 1) return take_over();
    BasicStreamWriter<P> writer(kShape, P::Memory(cells), in, out, consumer, false, kFirst);
    const std::uint64_t payload = 5;
    writer.write(7, 1, &payload, kTooBig);
    writer.write(7, 1, &payload, sizeof payload);
    BasicStreamReader<P> reader(kShape, P::Memory(cells), in, out, kFirst);
    std::byte room[kBytes];
    Piece piece;
    RL_ASSERT(reader.look(room, piece) == Look::kPiece);
    reader.take();
  }

  void take_over() {
    BasicStreamReader<P> reader(kShape, P::Memory(cells), in, out, kFirst);
    const auto sums = reader.sums();
    const bool none = reader.position() == kFirst;
    RL_ASSERT(sums.delivered == (none ? 0 : 1));
    RL_ASSERT(sums.lost == (none ? 0 : 1));
  }
};

struct ClockTest : rl::test_suite<ClockTest, 2> {
  using P = ClockPlatform;
  static constexpr std::uint64_t kForEver = 1'000'000;

  ModelSyncIn in;
  ModelSyncOut out;
  ModelOut unused;
  rl::atomic<int> over{0};

  ClockTest() {
    begin_run(unused, nullptr, 0);
    memo.questions = &out;
  }

  void thread(unsigned index) { index == 0 ? answer() : ask(); }

  void answer() {
    BasicClockAnswerer<P> answerer(in, out);
    while (over.load(rl::mo_acquire, $) == 0) {
      if (!answerer.answer()) rl::yield(1, $);
    }
  }

  void ask() {
    ClockCertificate certificate;
    measure(1, rl::rand(12), certificate);
    measure(2, rl::rand(12), certificate);
    RL_ASSERT(measure(2, kForEver, certificate));
    over.store(1, rl::mo_release, $);
  }

  // Each time another asker.
  bool measure(int rounds, std::uint64_t patience, ClockCertificate& certificate) {
    memo.patience = patience;
    memo.asking = true;
    BasicClockAsker<P> asker(in, out);
    const auto measured = asker.measure(rounds, {});
    if (!measured) return false;
    RL_ASSERT(holds(*measured));
    RL_ASSERT(certificate.add(*measured));
    RL_ASSERT(holds(certificate.interval()));
    return true;
  }
  static bool holds(const ClockInterval& interval) {
    constexpr auto kTruth = static_cast<std::int64_t>(P::kAhead);
    return interval.low < kTruth && kTruth < interval.high;
  }
};

template <Options kOptions>
constexpr auto* run = run_test<StreamTest<kOptions>>;

int check() {
  constexpr auto kRandom = rl::sched_random;
  constexpr unsigned kTimes = 30'000;
  using enum Dies;
  // Those that catch most, or that alone catch something, come first.
  ModelCheck model({
      {"notes", 0, rl::sched_bound, 3, run_test<NotesTest>},
      {"clock", kTimes, kRandom, 0, run_test<ClockTest>},
      {"discard, reader dies", kTimes, kRandom, 0, run<{.dies = kReader, .most = 40}>},
      {"discard", kTimes, kRandom, 0, run<{.big = 2}>},
      {"overwrite", kTimes, kRandom, 0, run<{.overwrite = true, .payload = 104, .big = 3}>},
      {"overwrite, reader dies", kTimes, kRandom, 0,
       run<{.overwrite = true, .payload = 104, .dies = kReader, .most = 40}>},
      {"discard, writer dies", kTimes, kRandom, 0, run<{.dies = kWriter, .most = 110}>},
      {"overwrite, writer dies", kTimes, kRandom, 0,
       run<{.overwrite = true, .payload = 104, .dies = kWriter, .most = 160}>},
      {"discard, nested", kTimes, kRandom, 0, run<{.nested = true}>},
      {"overwrite, nested", kTimes, kRandom, 0,
       run<{.overwrite = true, .attempts = 7, .nested = true}>},
      {"discard, items", kTimes, kRandom, 0, run<{.items = true, .payload = 24, .late = true}>},
      {"overwrite, items", kTimes, kRandom, 0,
       run<{.overwrite = true, .items = true, .sub_buffers = 4, .payload = 120}>},
      {"discard, 3 attempts", 0, rl::sched_bound, 2, run<{.attempts = 3, .looks = 1}>},
  });
  constexpr auto kRelaxed = std::memory_order::relaxed;
  model.must_hold(Site::kAttempt, Site::kAnswer);
  model.must_catch_orders(
      Site::kAttempt, Site::kAnswer,
      {{Site::kNoteTaken, kRelaxed,
        "keeps the compiler from noting before the last turn; a model's process dies in order"},
       {Site::kAsk, kRelaxed, "keeps the stamp before the question; a model takes none late"},
       {Site::kSeeAsked, kRelaxed,
        "keeps the stamp after the question; a model takes none early"}});
  model.must_catch({{Wrong::kCommitFirst, "commit before the copy"},
                    {Wrong::kAttemptLate, "a write counted when it is done"},
                    {Wrong::kNoGiveUp, "reuse without giving up"},
                    {Wrong::kGiveUpLate, "giving up after the reuse"},
                    {Wrong::kReuseUnlooked, "reuse without a look at consumed"},
                    {Wrong::kNoSeal, "no seal"},
                    {Wrong::kNoSecondLook, "no second look at what is given up"},
                    {Wrong::kCommitFromBefore, "no second look at commit"},
                    {Wrong::kConsumeFirst, "consumed before the copy"},
                    {Wrong::kNoTurn, "no turn"},
                    {Wrong::kTurnFirst, "turn before the notes"},
                    {Wrong::kConsumeBeforeTurn, "consumed before the turn"},
                    {Wrong::kOneSide, "a successor that does not look at turn"},
                    {Wrong::kAnswerFirst, "the answered round before the stamp"},
                    {Wrong::kStampEarly, "a stamp of before the question"},
                    {Wrong::kAskFirst, "the question before the asker's stamp"},
                    {Wrong::kSeenEarly, "an answer timed before it was seen"},
                    {Wrong::kAnyAnswer, "an answer to whichever round"},
                    {Wrong::kRoundsAnew, "a successor that begins with round 1"}});
  return model.result();
}

}  // namespace
}  // namespace fairlead::relay

int main() { return fairlead::relay::check(); }
