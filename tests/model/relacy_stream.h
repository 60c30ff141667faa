// SPDX-License-Identifier: Apache-2.0
//
// The stream's Platform over Relacy, the clocks' as well, the steps of their protocols that a run
// may break, and the names of their sites.
//
// Contents are rl::var words in mode discard, where an access that no synchronisation orders is a
// data race, and rl::atomic words in mode overwrite.  A process that dies jumps out of its call at
// its n-th store to shared memory; who takes over learns it from the kernel, which orders.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <setjmp.h>

#include "fairlead/abi/relay.h"
#include "relay/platform.h"

// After everything of the library.
#include "relacy.h"

namespace fairlead::relay {

using model::Access;
using model::broken;

enum class Wrong : std::uint8_t {
  kNothing,
  // The writer's.
  kCommitFirst,    // commit before the copy
  kAttemptLate,    // a write is counted when it is done
  kNoGiveUp,       // what is about to be reused is not given up
  kGiveUpLate,     // or only once it was overwritten
  kReuseUnlooked,  // a sub-buffer is reused whatever the consumer has passed
  kNoSeal,         // a sub-buffer's content is not written when the next one begins
  // The reader's.
  kNoSecondLook,       // the copy counts although it may have been overwritten meanwhile
  kCommitFromBefore,   // losses are believed without a second look at commit
  kConsumeFirst,       // consumed before the copy
  kNoTurn,             // notes that are never made valid
  kTurnFirst,          // or before they are whole
  kConsumeBeforeTurn,  // bytes are let go of before it is noted that they were taken
  kOneSide,            // a successor that does not look which notes are valid
  // Of the clocks' questions and answers.
  kAnswerFirst,  // the round that was answered before the stamp
  kStampEarly,   // a stamp of before the question was seen
  kAskFirst,     // the question before the asker's stamp
  kSeenEarly,    // an answer's time of before the look that saw it
  kAnyAnswer,    // an answer to whichever round
  kRoundsAnew,   // a successor that begins with the first round again
};

struct StreamProtocol {
  using Site = relay::Site;
  using Wrong = relay::Wrong;
  static constexpr auto& kOrders = relay::kOrders;
  static constexpr const char* kSiteNames[] = {
      "attempt",    "commit",     "lost",         "give up",   "see consumed", "see consumer",
      "put word",   "see commit", "see given up", "get word",  "see lost",     "see attempts",
      "note taken", "turn",       "consume",      "see taken", "see turn",     "ask",
      "see answer", "see stamp",  "see asked",    "put stamp", "answer"};
};

using Word = rl::atomic<std::uint64_t>;

struct ModelIn {
  explicit ModelIn(std::uint64_t first) : commit(first), overwritten_to(first) {}
  Word commit;
  Word attempts{0}, lost_full{0}, lost_big{0}, lost_state{0}, lost_nested{0}, lost_bytes{0};
  Word gap_first{0}, gap_last{0};
  Word overwritten_to;
};

struct ModelTaken {
  Word position{0}, delivered{0}, overwritten{0}, corrupt{0};
  Word lost_full{0}, lost_big{0}, lost_state{0}, lost_nested{0}, lost_bytes{0};
};

struct ModelOut {
  Word consumed{0}, turn{0};
  ModelTaken taken[2];
};

struct ModelSyncIn {
  Word stamp{0}, round{0};
};

struct ModelSyncOut {
  Word round{0};
};

// The process of one thread dies before one of its stores: to die before a load is the same.
struct Fuse {
  unsigned thread = ~0u;
  unsigned left = 0;
  jmp_buf out[2];  // of each thread's call

  void burn() {
    if (thread == rl::thread_index() && left-- == 0) longjmp(out[thread], 1);
  }
};
inline Fuse fuse;

// What broken steps need to know.
struct Memo {
  struct Late {
    Word* word = nullptr;
    std::uint64_t value = 0;
  };
  struct Put {
    std::uint64_t place;
    std::uint64_t word;
  };
  ModelOut* out = nullptr;
  void* cells = nullptr;
  std::uint64_t first = 0;
  // The writer's.
  std::uint64_t committed = 0;
  Late late;
  Put puts[64];
  unsigned put_count = 0;
  // The reader's.
  std::uint64_t seen_commit = 0;
  std::uint64_t seen_given_up = 0;
  std::uint64_t turn = 0;
  std::uint64_t position = 0;  // noted
  bool copied = false;         // since the last look at commit
  bool saw_lost = false;
  // The clocks'.
  std::uint64_t now = 0;
  std::uint64_t patience = 0;
  std::uint64_t asked = 0;        // the newest round
  std::uint64_t seen_at[2] = {};  // each side's stamp of before its newest look at a round
  bool asking = true;             // the asker's next stamp is that of a question
  ModelSyncOut* questions = nullptr;
};
inline Memo memo;

// A signal handler, at any time that the writer copies.
inline void (*interrupt)(void*) = nullptr;
inline void* interrupted = nullptr;

// Of one execution: nobody dies or interrupts unless it is said afterwards.
inline void begin_run(ModelOut& out, void* cells, std::uint64_t first) {
  memo = {};
  memo.out = &out;
  memo.cells = cells;
  memo.first = first;
  fuse.thread = ~0u;
  interrupt = nullptr;
}

template <bool kOverwrite>
class ModelMemory {
 public:
  using Cell = std::conditional_t<kOverwrite, rl::atomic<std::uint64_t>, rl::var<std::uint64_t>>;

  explicit ModelMemory(Cell* cells) : cells_(cells) {}

  void put(std::uint64_t place, const void* from, std::size_t bytes) {
    RL_ASSERT(!kOverwrite);
    put_all(place, from, bytes);
  }
  void put_words(std::uint64_t place, const void* from, std::size_t bytes) {
    RL_ASSERT(kOverwrite);
    put_all(place, from, bytes);
  }
  void get(std::uint64_t place, void* to, std::size_t bytes) const {
    RL_ASSERT(!kOverwrite);
    get_all(place, to, bytes);
  }
  void get_words(std::uint64_t place, void* to, std::size_t bytes) const {
    RL_ASSERT(kOverwrite);
    get_all(place, to, bytes);
  }

  void put_word(std::uint64_t place, std::uint64_t word) {
    fuse.burn();
    if constexpr (kOverwrite) {
      cells_[place / 8].store(word, model::order<Site::kPutWord>(Access::kStore), $);
    } else {
      cells_[place / 8]($) = word;
    }
  }

 private:
  static constexpr std::uint64_t kSealPlace = offsetof(abi::RelaySubBuffer, content);

  void put_all(std::uint64_t place, const void* from, std::size_t bytes) {
    RL_ASSERT(place % 8 == 0 && bytes % 8 == 0);
    if (bytes == 8 && place % 256 == kSealPlace && broken(Wrong::kNoSeal)) return;
    for (std::size_t i = 0; i < bytes; i += 8) {
      std::uint64_t word;
      __builtin_memcpy(&word, static_cast<const std::byte*>(from) + i, sizeof word);
      if (broken(Wrong::kCommitFirst)) {
        memo.puts[memo.put_count++] = {place + i, word};
      } else {
        put_word(place + i, word);
      }
    }
    if (interrupt != nullptr && rl::rand(4) == 0) interrupt(interrupted);
  }
  void get_all(std::uint64_t place, void* to, std::size_t bytes) const {
    RL_ASSERT(place % 8 == 0 && bytes % 8 == 0);
    memo.copied = true;
    for (std::size_t i = 0; i < bytes; i += 8) {
      const std::uint64_t word = get_word(place + i);
      __builtin_memcpy(static_cast<std::byte*>(to) + i, &word, sizeof word);
    }
  }
  std::uint64_t get_word(std::uint64_t place) const {
    if constexpr (kOverwrite) {
      return cells_[place / 8].load(model::order<Site::kGetWord>(Access::kLoad), $);
    } else {
      return cells_[place / 8]($);
    }
  }

  Cell* cells_;
};

template <bool kOverwrite>
struct StreamPlatform {
  using Memory = ModelMemory<kOverwrite>;
  using Word32 = rl::atomic<std::uint32_t>;
  using StreamIn = ModelIn;
  using StreamOut = ModelOut;

  template <Site kSite, typename T>
  static T load(const rl::atomic<T>& word) {
    const auto how = model::order<kSite>(Access::kLoad);
    if (kSite == Site::kSeeConsumed && broken(Wrong::kReuseUnlooked)) return memo.committed;
    if (kSite == Site::kSeeGivenUp && broken(Wrong::kNoSecondLook) && memo.copied) {
      return memo.seen_given_up;
    }
    if (kSite == Site::kSeeCommit && broken(Wrong::kCommitFromBefore) && memo.saw_lost) {
      memo.saw_lost = false;
      return memo.seen_commit;
    }
    if (kSite == Site::kSeeTurn && broken(Wrong::kOneSide)) return 0;
    if (kSite == Site::kSeeAsked && rl::thread_index() == 1 && broken(Wrong::kRoundsAnew)) return 0;
    const T value = word.load(how, $);
    if (kSite == Site::kSeeCommit) saw_commit(value);
    if (kSite == Site::kSeeGivenUp) memo.seen_given_up = value;
    if (kSite == Site::kSeeLost && rl::thread_index() == 1) memo.saw_lost = true;
    if (kSite == Site::kSeeTurn) memo.turn = value;
    return value;
  }

  template <Site kSite, typename T>
  static void store(rl::atomic<T>& word, T value) {
    fuse.burn();
    const auto how = model::order<kSite>(Access::kStore);
    if (kSite == Site::kCommit) before_commit();
    if (kSite == Site::kNoteTaken) before_note(word, value);
    if (kSite == Site::kTurn) before_turn(value);
    if (left_out<kSite>(word, value)) return;
    word.store(value, how, $);
    if (kSite == Site::kCommit) after_commit(value);
    if (kSite == Site::kAnswer && broken(Wrong::kAnswerFirst)) put_late();
  }

  template <Site kSite, typename T>
  static void fetch_add(rl::atomic<T>& word, T more) {
    fuse.burn();
    word.fetch_add(more, model::order<kSite>(Access::kChange), $);
  }
  static std::uint64_t stamp() { return 1; }

 private:
  // A store that is not done here; perhaps later.
  template <Site kSite, typename T>
  static bool left_out(rl::atomic<T>& word, T value) {
    if (kSite == Site::kAttempt && broken(Wrong::kAttemptLate)) {
      memo.late = {&word, value};
      return true;
    }
    if (kSite == Site::kGiveUp && broken(Wrong::kGiveUpLate)) {
      memo.late = {&word, value};
      return true;
    }
    if (kSite == Site::kPutStamp && broken(Wrong::kAnswerFirst)) {
      memo.late = {&word, value};
      return true;
    }
    if (kSite == Site::kGiveUp) return broken(Wrong::kNoGiveUp);
    if (kSite == Site::kTurn) return broken(Wrong::kNoTurn) || broken(Wrong::kTurnFirst);
    return false;
  }

  static void before_commit() {
    if (broken(Wrong::kGiveUpLate)) put_late();
  }
  static void after_commit(std::uint64_t value) {
    memo.committed = value;
    if (broken(Wrong::kAttemptLate)) put_late();
    for (unsigned i = 0; i < memo.put_count; ++i) {
      Memory(static_cast<typename Memory::Cell*>(memo.cells))
          .put_word(memo.puts[i].place, memo.puts[i].word);
    }
    memo.put_count = 0;
  }
  static void put_late() {
    if (memo.late.word != nullptr) memo.late.word->store(memo.late.value, rl::mo_release, $);
    memo.late = {};
  }

  static void before_note(const Word& word, std::uint64_t value) {
    for (const ModelTaken& side : memo.out->taken) {
      if (&word != &side.position) continue;
      memo.position = value;
      if (broken(Wrong::kTurnFirst)) memo.out->turn.store(++memo.turn, rl::mo_release, $);
    }
  }
  static void before_turn(std::uint64_t value) {
    if (!broken(Wrong::kTurnFirst)) memo.turn = value;
    if (broken(Wrong::kConsumeBeforeTurn)) {
      memo.out->consumed.store(memo.first + memo.position, rl::mo_release, $);
      fuse.burn();
    }
  }

  static void saw_commit(std::uint64_t value) {
    memo.seen_commit = value;
    memo.saw_lost = memo.copied = false;
    if (broken(Wrong::kConsumeFirst)) memo.out->consumed.store(value, rl::mo_release, $);
  }
};

// The producer is thread 0.
struct ClockPlatform : StreamPlatform<false> {
  using SyncIn = ModelSyncIn;
  using SyncOut = ModelSyncOut;
  static constexpr std::uint64_t kAhead = 1000;

  template <Site kSite, typename T>
  static T load(const rl::atomic<T>& word) {
    if (kSite == Site::kSeeAsked || kSite == Site::kSeeAnswer)
      memo.seen_at[rl::thread_index()] = tick();
    const T value = StreamPlatform<false>::load<kSite>(word);
    if (kSite == Site::kSeeAnswer && value != 0 && broken(Wrong::kAnyAnswer)) return memo.asked;
    if (kSite == Site::kSeeStamp) memo.asking = false;
    return value;
  }
  template <Site kSite, typename T>
  static void store(rl::atomic<T>& word, T value) {
    if (kSite == Site::kAsk) memo.asked = value;
    StreamPlatform<false>::store<kSite>(word, value);
  }

  static std::uint64_t stamp() { return tick(); }
  static std::uint64_t ordered_stamp() {
    const unsigned self = rl::thread_index();
    if (self == 0) return broken(Wrong::kStampEarly) ? memo.seen_at[0] : tick();
    if (memo.asking && broken(Wrong::kAskFirst)) {
      memo.questions->round.store(memo.asked + 1, rl::mo_release, $);
      rl::yield(1, $);
    }
    const bool seen = !std::exchange(memo.asking, true);
    return seen && broken(Wrong::kSeenEarly) ? memo.seen_at[1] : tick();
  }
  static std::uint64_t stamps_in(std::chrono::nanoseconds) { return memo.patience; }
  static void relax() { rl::yield(1, $); }

 private:
  static std::uint64_t tick() { return ++memo.now + (rl::thread_index() == 0 ? kAhead : 0); }
};

}  // namespace fairlead::relay
