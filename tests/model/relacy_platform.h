// SPDX-License-Identifier: Apache-2.0
//
// The ring core's Platform over Relacy, the steps of its protocol that a run may break, and the
// names of its sites.
//
// Entries are rl::var: an access that no synchronisation orders is a data race.  A futex is a mutex
// and a condition variable: it compares under the lock, its compare may see an old value that no
// earlier wake hides (which is weaker than the kernel's), and nobody times out, so that a lost
// wake-up is a deadlock.
#pragma once

#include <cstdint>

#include "shm/platform.h"

// After everything of the library.
#include "relacy.h"

namespace fairlead::shm {

using model::Access;
using model::broken;
using model::Doorbell;
using model::order;

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

// What ModelCheck is about.
struct RingProtocol {
  using Site = shm::Site;
  using Wrong = shm::Wrong;
  static constexpr auto& kOrders = shm::kOrders;
  static constexpr const char* kSiteNames[] = {
      "publish",    "read event", "see produced", "arm event", "check produced", "lead take",
      "lead leave", "lead see",   "lead check",   "mark",      "unmark",         "mark scan",
      "call post",  "call see",   "call sleep",   "call rise", "call promote",   "call deliver",
      "call free",  "pause",      "pause see"};
};

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

  template <Site kSite, typename T>
  static T load(const Atomic<T>& word) {
    const auto how = order<kSite>(Access::kLoad);
    if constexpr (kSite == Site::kCheckProduced) {
      if (broken(Wrong::kNoSecondLook)) return seen()[rl::thread_index()];
    }
    if constexpr (kSite == Site::kReadEvent) {
      if (broken(Wrong::kNoHoldOffRead)) return static_cast<T>(1u << 31);
    }
    if constexpr (kSite == Site::kLeadCheck) {
      if (broken(Wrong::kNoLeaderCheck)) return 1;
    }
    if constexpr (kSite == Site::kMarkScan) {
      if (broken(Wrong::kNoScan)) return 0;
    }
    const T value = word.load(how, $);
    if constexpr (kSite == Site::kSeeProduced) seen()[rl::thread_index()] = value;
    return value;
  }

  template <Site kSite, typename T>
  static void store(Atomic<T>& word, T value) {
    const auto how = order<kSite>(Access::kStore);
    if (kSite == Site::kArmEvent && broken(Wrong::kEventTooLow)) --value;
    word.store(value, how, $);
  }

  template <Site kSite, typename T>
  static T exchange(Atomic<T>& word, T value) {
    const T before = word.exchange(value, order<kSite>(Access::kChange), $);
    return kSite == Site::kLeadTake && broken(Wrong::kNoLead) ? 0 : before;
  }

  template <Site kSite, typename T>
  static T fetch_or(Atomic<T>& word, T bits) {
    const auto how = order<kSite>(Access::kChange);
    if (kSite == Site::kMark && broken(Wrong::kNoMark)) return 0;
    return word.fetch_or(bits, how, $);
  }

  template <Site kSite, typename T>
  static T fetch_and(Atomic<T>& word, T bits) {
    return word.fetch_and(bits, order<kSite>(Access::kChange), $);
  }

  // One that fails is a load and may see an older value; Relacy's own always sees the newest.
  template <Site kSite, typename T>
  static bool compare_exchange(Atomic<T>& word, T expected, T desired) {
    const auto how = order<kSite>(Access::kChange);
    const auto failed = how == rl::mo_acq_rel   ? rl::mo_acquire
                        : how == rl::mo_release ? rl::mo_relaxed
                                                : how;
    if (rl::rand(2) == 1 && word.load(failed, $) != expected) return false;
    return word.compare_exchange_strong(expected, desired, how, $);
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
    if (broken(Wrong::kBlindFutex) || word.load(rl::mo_relaxed, $) == expected) {
      word.sleepers.wait(word.lock, $);
    }
    word.lock.unlock($);
  }
  static void wake_one(Atomic<std::uint32_t>& word, FutexScope scope) {
    if (scope == FutexScope::kShared && broken(Wrong::kNoRingWake)) return;
    if (scope == FutexScope::kPrivate && broken(Wrong::kNoCallWake)) return;
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

}  // namespace fairlead::shm
