// SPDX-License-Identifier: Apache-2.0
//
// What the ring and the wait are templates over, so that one source runs in production, under
// Relacy's model checker, under ThreadSanitizer and against the hostile-peer fuzzer.
//
// A Platform gives: Atomic<T> and Entry<T>; load/store/exchange/… named by Site; copies of entries;
// the futex.  A Site is one place in the protocol that touches a shared word; its memory order
// stands in kOrders and nowhere else, so that a model check can weaken one at a time and must then
// find a failure.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>

#include "base/clock.h"
#include "shm/futex.h"

namespace fairlead::shm {

enum class Site : std::uint8_t {
  // ring.h
  kPublish,        // producer: the index of what it wrote
  kReadEvent,      // producer: does the consumer sleep?
  kSeeProduced,    // consumer: what is there
  kArmEvent,       // consumer: wake me past this
  kCheckProduced,  // consumer: the last look before sleep
  // call_table.h
  kLeadTake,     // become the thread that watches the ring
  kLeadLeave,    // stop being it
  kLeadSee,      // somebody leads? (a hint)
  kLeadCheck,    // a sleeper's last look: does somebody lead?
  kMark,         // a sleeper makes itself known
  kUnmark,       // and takes that back
  kMarkScan,     // who leaves the lead looks for sleepers
  kCallPost,     // free → posted
  kCallSee,      // a caller, or who looks at it
  kCallSleep,    // posted → asleep
  kCallRise,     // asleep or lead → posted, by the sleeper
  kCallPromote,  // asleep → lead, by who leaves
  kCallDeliver,  // any → done, by who leads
  kCallFree,     // done → free
  kPause,        // stop or resume all traffic
  kPauseSee,     // is it stopped?
};

template <typename AnySite>
struct SiteOrder {
  AnySite site;
  std::memory_order order;
};

[[noreturn]] void a_site_without_an_order();  // defined nowhere: a call of it does not compile

template <typename AnySite, std::size_t kSites>
consteval std::memory_order order_in(const SiteOrder<AnySite> (&orders)[kSites], AnySite site) {
  for (const auto& row : orders) {
    if (row.site == site) return row.order;
  }
  a_site_without_an_order();
}

// The weakest order that is right: the model check (*_relacy.cc) fails with each of them one step
// weaker.  The reasons stand where the sites are used.
inline constexpr SiteOrder<Site> kOrders[] = {
    {Site::kPublish, std::memory_order_seq_cst},
    {Site::kReadEvent, std::memory_order_seq_cst},
    {Site::kSeeProduced, std::memory_order_acquire},
    {Site::kArmEvent, std::memory_order_seq_cst},
    {Site::kCheckProduced, std::memory_order_seq_cst},
    {Site::kLeadTake, std::memory_order_acquire},
    {Site::kLeadLeave, std::memory_order_seq_cst},
    {Site::kLeadSee, std::memory_order_relaxed},
    {Site::kLeadCheck, std::memory_order_seq_cst},
    {Site::kMark, std::memory_order_seq_cst},
    {Site::kUnmark, std::memory_order_relaxed},
    {Site::kMarkScan, std::memory_order_seq_cst},
    {Site::kCallPost, std::memory_order_release},
    {Site::kCallSee, std::memory_order_acquire},
    {Site::kCallSleep, std::memory_order_seq_cst},
    {Site::kCallRise, std::memory_order_relaxed},
    {Site::kCallPromote, std::memory_order_seq_cst},
    {Site::kCallDeliver, std::memory_order_release},
    {Site::kCallFree, std::memory_order_release},
    {Site::kPause, std::memory_order_relaxed},
    {Site::kPauseSee, std::memory_order_relaxed},
};

consteval std::memory_order order_of(Site site) { return order_in(kOrders, site); }

// The real thing.  kSite: of this enumeration, or of another module's that has an order_of() too.
struct Production {
  template <typename T>
  using Atomic = std::atomic<T>;
  template <typename T>
  using Entry = T;
  using Mutex = std::mutex;

  template <auto kSite, typename T>
  static T load(const std::atomic<T>& word) noexcept {
    return word.load(order_of(kSite));
  }
  template <auto kSite, typename T>
  static void store(std::atomic<T>& word, T value) noexcept {
    word.store(value, order_of(kSite));
  }
  template <auto kSite, typename T>
  static T exchange(std::atomic<T>& word, T value) noexcept {
    return word.exchange(value, order_of(kSite));
  }
  template <auto kSite, typename T>
  static T fetch_add(std::atomic<T>& word, T more) noexcept {
    return word.fetch_add(more, order_of(kSite));
  }
  template <auto kSite, typename T>
  static T fetch_or(std::atomic<T>& word, T bits) noexcept {
    return word.fetch_or(bits, order_of(kSite));
  }
  template <auto kSite, typename T>
  static T fetch_and(std::atomic<T>& word, T bits) noexcept {
    return word.fetch_and(bits, order_of(kSite));
  }
  template <auto kSite, typename T>
  static bool compare_exchange(std::atomic<T>& word, T expected, T desired) noexcept {
    return word.compare_exchange_strong(expected, desired, order_of(kSite));
  }

  // One copy of an entry the peer may be changing: the compiler may not read it again.
  template <typename T>
  static T read(const T& entry) noexcept {
    T copy;
    std::memcpy(&copy, &entry, sizeof copy);
    asm volatile("" : : : "memory");
    return copy;
  }
  template <typename T>
  static void write(T& entry, const T& value) noexcept {
    std::memcpy(&entry, &value, sizeof value);
  }

  static void wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                   std::int64_t timeout_ns, FutexScope scope) noexcept {
    futex_wait(word, expected, timeout_ns, scope);
  }
  static void wake_one(std::atomic<std::uint32_t>& word, FutexScope scope) noexcept {
    futex_wake(word, 1, scope);
  }
  static void yield() noexcept { ::sched_yield(); }
  static void relax() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  // Soon to be read, and perhaps just changed by the peer.
  template <typename T>
  static void prefetch(const T& entry) noexcept {
    __builtin_prefetch(&entry);
  }
  static std::int64_t now_ns() noexcept { return base::monotonic_ns(); }
};

}  // namespace fairlead::shm
