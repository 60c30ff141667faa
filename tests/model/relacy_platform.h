// SPDX-License-Identifier: Apache-2.0
//
// The ring core's Platform over Relacy, and the ways in which a run of it may be wrong.
//
// Every access of the core names its Site, so a run can weaken the order of one, or break a step of
// the protocol, without a second copy of the source.  `mutant` says which; the default is none.
//
// Entries are rl::var: an access that no synchronisation orders is a data race.  A futex is a mutex
// and a condition variable: it compares under the lock, its compare may see an old value that no
// earlier wake hides (which is weaker than the kernel's), and nobody times out, so that a lost
// wake-up is a deadlock.
#pragma once

#include <cstdint>
#include <iterator>
#include <ostream>

#include "shm/platform.h"

// After everything of the library: it redefines new, free, errno and the names of memory orders.
#include <relacy/relacy.hpp>
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno

// Relacy replaces the forms of 1998 only.
inline void operator delete(void* memory, std::size_t) noexcept { ::operator delete(memory); }
inline void operator delete[](void* memory, std::size_t) noexcept { ::operator delete[](memory); }

namespace fairlead::shm {

enum class Access : std::uint8_t { kNone, kLoad, kStore, kChange };

enum class Wrong : std::uint8_t {
  kNothing,
  kNoSecondLook,   // arm() trusts what was seen before it
  kEventTooLow,    // event = consumed: the hold-off rule is off by one
  kNoHoldOffRead,  // the producer believes that nobody sleeps
  kNoLeaderCheck,  // a sleeper does not look whether somebody leads
  kNoMark,         // a sleeper does not make itself known
  kNoScan,         // who leaves the lead does not look for sleepers
  kNoRingWake,     // no wake-up after a response
  kNoCallWake,     // no wake-up of a sleeping call
  kBlindFutex,     // a futex that sleeps without comparing
  kNoLead,         // two may lead at once
};

struct Mutant {
  int site = -1;  // whose order is weakened, to
  std::memory_order order = std::memory_order::relaxed;
  Wrong wrong = Wrong::kNothing;
};

inline Mutant mutant;
inline Access accesses[std::size(kOrders)];  // what each site was seen to do

constexpr rl::memory_order relacy_order(std::memory_order order) {
  switch (order) {
    case std::memory_order::relaxed: return rl::mo_relaxed;
    case std::memory_order::consume: return rl::mo_consume;
    case std::memory_order::acquire: return rl::mo_acquire;
    case std::memory_order::release: return rl::mo_release;
    case std::memory_order::acq_rel: return rl::mo_acq_rel;
    case std::memory_order::seq_cst: return rl::mo_seq_cst;
  }
  return rl::mo_seq_cst;
}

struct RelacyPlatform {
  template <typename T>
  struct Atomic : rl::atomic<T> {
    Atomic(T value = T{}) : rl::atomic<T>(value) {}
    rl::mutex lock;
    rl::condition_variable sleepers;
  };

  template <typename T>
  struct Entry : rl::var<T> {
    Entry() : rl::var<T>(T{}) {}
  };

  struct Mutex {
    void lock() { mutex.lock($); }
    void unlock() { mutex.unlock($); }
    rl::mutex mutex;
  };

  template <Site kSite>
  static rl::memory_order order(Access access) {
    constexpr int kIndex = static_cast<int>(kSite);
    accesses[kIndex] = access;
    return relacy_order(mutant.site == kIndex ? mutant.order : order_of(kSite));
  }

  template <Site kSite, typename T>
  static T load(const Atomic<T>& word) {
    const auto order = RelacyPlatform::order<kSite>(Access::kLoad);
    if constexpr (kSite == Site::kCheckProduced) {
      if (mutant.wrong == Wrong::kNoSecondLook) return seen()[rl::thread_index()];
    }
    if constexpr (kSite == Site::kReadEvent) {
      if (mutant.wrong == Wrong::kNoHoldOffRead) return static_cast<T>(1u << 31);
    }
    if constexpr (kSite == Site::kLeadCheck) {
      if (mutant.wrong == Wrong::kNoLeaderCheck) return 1;
    }
    if constexpr (kSite == Site::kMarkScan) {
      if (mutant.wrong == Wrong::kNoScan) return 0;
    }
    const T value = word.load(order, $);
    if constexpr (kSite == Site::kSeeProduced) seen()[rl::thread_index()] = value;
    return value;
  }

  template <Site kSite, typename T>
  static void store(Atomic<T>& word, T value) {
    const auto order = RelacyPlatform::order<kSite>(Access::kStore);
    if (kSite == Site::kArmEvent && mutant.wrong == Wrong::kEventTooLow) --value;
    word.store(value, order, $);
  }

  template <Site kSite, typename T>
  static T exchange(Atomic<T>& word, T value) {
    const T before = word.exchange(value, order<kSite>(Access::kChange), $);
    return kSite == Site::kLeadTake && mutant.wrong == Wrong::kNoLead ? 0 : before;
  }

  template <Site kSite, typename T>
  static T fetch_or(Atomic<T>& word, T bits) {
    const auto order = RelacyPlatform::order<kSite>(Access::kChange);
    if (kSite == Site::kMark && mutant.wrong == Wrong::kNoMark) return 0;
    return word.fetch_or(bits, order, $);
  }

  template <Site kSite, typename T>
  static T fetch_and(Atomic<T>& word, T bits) {
    return word.fetch_and(bits, order<kSite>(Access::kChange), $);
  }

  // One that fails is a load and may see an older value; Relacy's own always sees the newest.
  template <Site kSite, typename T>
  static bool compare_exchange(Atomic<T>& word, T expected, T desired) {
    const auto order = RelacyPlatform::order<kSite>(Access::kChange);
    const auto failed = order == rl::mo_acq_rel   ? rl::mo_acquire
                        : order == rl::mo_release ? rl::mo_relaxed
                                                  : order;
    if (rl::rand(2) == 1 && word.load(failed, $) != expected) return false;
    return word.compare_exchange_strong(expected, desired, order, $);
  }

  template <typename T>
  static T read(const Entry<T>& entry) {
    return entry($);
  }
  template <typename T>
  static void write(Entry<T>& entry, const T& value) {
    entry($) = value;
  }

  static void wait(Atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t, FutexScope) {
    word.lock.lock($);
    if (mutant.wrong == Wrong::kBlindFutex || word.load(rl::mo_relaxed, $) == expected) {
      word.sleepers.wait(word.lock, $);
    }
    word.lock.unlock($);
  }
  static void wake_one(Atomic<std::uint32_t>& word, FutexScope scope) {
    if (scope == FutexScope::kShared && mutant.wrong == Wrong::kNoRingWake) return;
    if (scope == FutexScope::kPrivate && mutant.wrong == Wrong::kNoCallWake) return;
    word.lock.lock($);
    word.sleepers.notify_one($);
    word.lock.unlock($);
  }
  template <typename T>
  static void prefetch(const Entry<T>&) {}
  static void yield() { rl::yield(1, $); }
  static std::int64_t now_ns() { return 0; }

  // The index each thread saw last.
  static std::uint32_t* seen() {
    static std::uint32_t values[8];
    return values;
  }
};

// An eventfd.
class Doorbell {
 public:
  void ring() {
    lock_.lock($);
    rung_ = true;
    heard_.notify_one($);
    lock_.unlock($);
  }
  void wait() {
    lock_.lock($);
    while (!rung_) heard_.wait(lock_, $);
    rung_ = false;
    lock_.unlock($);
  }

 private:
  rl::mutex lock_;
  rl::condition_variable heard_;
  bool rung_ = false;
};

}  // namespace fairlead::shm
