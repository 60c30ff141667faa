// SPDX-License-Identifier: Apache-2.0
//
// What the stream protocol is a template over: the words of shm/platform.h, named by the sites
// below, and memory that is copied to and from.  One source runs in production, under Relacy's
// model checker, under ThreadSanitizer, with kill points, and against the hostile-producer fuzzer.
//
// A Platform gives: Atomic<T>; load<Site>, store<Site>; Memory; stamp().  For clock_sync.h also:
// SyncIn, SyncOut; ordered_stamp(), stamps_in(); relax().
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "relay/stamp.h"
#include "shm/platform.h"

namespace fairlead::relay {

// One place in the protocol that touches a shared word.
enum class Site : std::uint8_t {
  // stream_writer.h
  kAttempt,      // a write begins
  kCommit,       // a record is there
  kLost,         // or is not
  kGiveUp,       // overwrite: what is about to be reused
  kSeeConsumed,  // what may be reused
  kSeeConsumer,  // is somebody there?
  kPutWord,      // overwrite: a word of contents
  // stream_reader.h
  kSeeCommit,    // what is there
  kSeeGivenUp,   // overwrite: is it still?
  kGetWord,      // overwrite: a word of contents
  kSeeLost,      // what is not there
  kSeeAttempts,  // whoever holds the sum against it
  kNoteTaken,    // the side of RelayTaken that is not valid
  kTurn,         // makes it valid
  kConsume,      // frees what was copied
  kSeeTaken,     // a successor reads what its predecessor noted
  kSeeTurn,
  // clock_sync.h
  kAsk,        // the consumer: a new round, after its stamp
  kSeeAnswer,  // is it answered?
  kSeeStamp,   // with what
  kSeeAsked,   // the producer: is there a new round?
  kPutStamp,   // its stamp
  kAnswer,     // which round that answers
};

// The weakest order that is right: the model check fails with each of them one step weaker.  Two
// words about those of the notes:
// kNoteTaken: keeps the compiler from noting before the last turn, where a death would leave the
// valid side half written; a model's process dies in program order, so the model cannot miss it.
// kSeeTaken: the turn, acquired before, orders it.
// kAsk, kSeeAsked: keep the stamps of a round on their side of the question.  That is between a
// word and a counter that is no memory, of which no memory order speaks, and a model runs none
// early; the compiler keeps to it.
inline constexpr shm::SiteOrder<Site> kOrders[] = {
    {Site::kAttempt, std::memory_order_release},
    {Site::kCommit, std::memory_order_release},
    {Site::kLost, std::memory_order_release},
    {Site::kGiveUp, std::memory_order_release},
    {Site::kSeeConsumed, std::memory_order_acquire},
    {Site::kSeeConsumer, std::memory_order_relaxed},
    {Site::kPutWord, std::memory_order_release},
    {Site::kSeeCommit, std::memory_order_acquire},
    {Site::kSeeGivenUp, std::memory_order_acquire},
    {Site::kGetWord, std::memory_order_acquire},
    {Site::kSeeLost, std::memory_order_acquire},
    {Site::kSeeAttempts, std::memory_order_acquire},
    {Site::kNoteTaken, std::memory_order_release},
    {Site::kTurn, std::memory_order_release},
    {Site::kConsume, std::memory_order_release},
    {Site::kSeeTaken, std::memory_order_relaxed},
    {Site::kSeeTurn, std::memory_order_acquire},
    {Site::kAsk, std::memory_order_release},
    {Site::kSeeAnswer, std::memory_order_acquire},
    {Site::kSeeStamp, std::memory_order_relaxed},
    {Site::kSeeAsked, std::memory_order_acquire},
    {Site::kPutStamp, std::memory_order_relaxed},
    {Site::kAnswer, std::memory_order_release},
};

consteval std::memory_order order_of(Site site) { return shm::order_in(kOrders, site); }

// The contents of one stream.  Offsets and sizes in bytes, within the stream; put_words() and
// get_words() are for what both sides touch at once: multiples of 8, word by word.
class SharedMemory {
 public:
  SharedMemory() = default;
  explicit SharedMemory(std::byte* data) noexcept : data_(data) {}

  void put(std::uint64_t offset, const void* from, std::size_t bytes) noexcept {
    std::memcpy(data_ + offset, from, bytes);
    if (bytes <= kCacheLine) claim_line(data_ + offset + kClaimAhead);
  }
  // The compiler may not read it again: the producer can change it at any time.
  void get(std::uint64_t offset, void* to, std::size_t bytes) const noexcept {
    std::memcpy(to, data_ + offset, bytes);
    asm volatile("" : : : "memory");
  }

  void put_words(std::uint64_t offset, const void* from, std::size_t bytes) noexcept {
    for (std::size_t i = 0; i < bytes; i += sizeof(std::uint64_t)) {
      std::uint64_t word;
      std::memcpy(&word, static_cast<const std::byte*>(from) + i, sizeof word);
      at(offset + i).store(word, order_of(Site::kPutWord));
    }
  }
  void get_words(std::uint64_t offset, void* to, std::size_t bytes) const noexcept {
    for (std::size_t i = 0; i < bytes; i += sizeof(std::uint64_t)) {
      const std::uint64_t word = at(offset + i).load(order_of(Site::kGetWord));
      std::memcpy(static_cast<std::byte*>(to) + i, &word, sizeof word);
    }
  }

 private:
  std::atomic_ref<std::uint64_t> at(std::uint64_t offset) const noexcept {
    return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(data_ + offset));
  }

  // The consumer read this line a lap ago and has it still; a producer that takes it back only with
  // its store has to wait.  For small records, as the processor by itself foresees what a long copy
  // will need.  An address beyond the end does nothing.
  static void claim_line(std::byte* at) noexcept {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*at));
#else
    __builtin_prefetch(at, 1);
#endif
  }
  static constexpr std::size_t kCacheLine = 64;
  static constexpr std::size_t kClaimAhead = 512;

  std::byte* data_ = nullptr;
};

struct Production : shm::Production {
  using Memory = SharedMemory;
  using Word32 = std::atomic<std::uint32_t>;
  using StreamIn = abi::RelayStreamIn;
  using StreamOut = abi::RelayStreamOut;
  using SyncIn = abi::RelaySyncIn;
  using SyncOut = abi::RelaySyncOut;
  static std::uint64_t stamp() noexcept { return relay::stamp(); }
  static std::uint64_t ordered_stamp() noexcept { return relay::ordered_stamp(); }
  static std::uint64_t stamps_in(std::chrono::nanoseconds time) noexcept {
    return relay::stamps_in(time);
  }
};

}  // namespace fairlead::relay
