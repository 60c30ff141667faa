// SPDX-License-Identifier: Apache-2.0
//
// AdaptivePoll: whether and how long to look for an answer before sleeping.
//
// Waking a processor that has gone idle costs more than most answers take, so a waiter looks on
// while waits have lately been short.  It looks politely: after about a microsecond it yields its
// core between two looks, so that it only burns time nobody else wants; and when a yield shows that
// another program had the core for long, it stops polling for a while, because a sleeper is
// scheduled sooner than one that yields.
//
//   budget = max_ns, or none if the average wait exceeds it
//   average: exponential, 1/8 a wait, each wait clamped to 2 · max_ns
//
// Thread-safety: begin(), again(), answered(), slept() by the thread that waits; brief() by any.
// Times in nanoseconds.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "shm/platform.h"

namespace fairlead::shm {

struct PollLimits {
  std::int64_t max_ns = 1'000'000;    // longest look; 0: always sleep at once
  std::int64_t crowded_ns = 500'000;  // a yield longer than this: the core is not free
  std::int64_t brief_ns = 100'000;    // waits up to this are too short to sleep for
};

// P gives the clock and the yield (platform.h).
template <typename P>
class BasicAdaptivePoll {
 public:
  explicit BasicAdaptivePoll(const PollLimits& limits) noexcept : limits_(limits) {}

  // The peer's hint has moved (a new segment); only while nobody waits.
  void heed(const std::atomic<std::uint32_t>& may_poll) noexcept { may_poll_ = &may_poll; }

  void begin() noexcept {
    looks_ = 0;
    began_ns_ = 0;
  }
  // True: look once more.
  bool again() noexcept;
  // The wait ended while looking; or in a sleep.
  void answered() noexcept;
  void slept() noexcept;

  // Answers have lately come faster than a sleep and a wake-up take.
  bool brief() const noexcept {
    return limits_.max_ns > 0 && average_ns_.load(std::memory_order_relaxed) <= limits_.brief_ns;
  }

  std::int64_t average_ns() const noexcept { return average_ns_.load(std::memory_order_relaxed); }
  std::int64_t budget_ns() const noexcept {
    return average_ns() > limits_.max_ns ? 0 : limits_.max_ns;
  }

 private:
  static constexpr int kPauses = 32;  // about a microsecond
  static constexpr std::int64_t kFirstLookNs = 500;
  static constexpr int kLeastPenalty = 64;  // waits slept through; a lost time slice costs as much
  static constexpr int kMostPenalty = 1024;
  static constexpr unsigned kCalmWaits = 1024;  // halve the penalty

  void record(std::int64_t wait_ns) noexcept;
  bool begin_yielding(std::int64_t now) noexcept;

  const PollLimits limits_;
  const std::atomic<std::uint32_t>* may_poll_ = nullptr;  // none: always
  std::atomic<std::int64_t> average_ns_{0};
  std::int64_t began_ns_ = 0;   // 0: still in the first microsecond
  std::int64_t looked_ns_ = 0;  // when it yielded last
  std::int64_t until_ns_ = 0;
  int looks_ = 0;
  int crowded_waits_ = 0;    // still to be slept through
  int crowded_penalty_ = 0;  // how many the next time; doubles each time
  unsigned calm_waits_ = 0;
};

using AdaptivePoll = BasicAdaptivePoll<Production>;

template <typename P>
bool BasicAdaptivePoll<P>::again() noexcept {
  if (limits_.max_ns == 0) {
    began_ns_ = P::now_ns();
    return false;
  }
  if (++looks_ < kPauses) {
    cpu_relax();
    return true;
  }
  const std::int64_t now = P::now_ns();
  if (began_ns_ == 0) {
    if (!begin_yielding(now)) return false;
  } else if (now - looked_ns_ > limits_.crowded_ns) {
    calm_waits_ = 0;
    crowded_penalty_ = std::max(crowded_penalty_, kLeastPenalty);
    crowded_waits_ = crowded_penalty_;
    crowded_penalty_ = std::min(2 * crowded_penalty_, kMostPenalty);
    return false;
  }
  if (now >= until_ns_) return false;
  looked_ns_ = now;
  P::yield();
  return true;
}

template <typename P>
bool BasicAdaptivePoll<P>::begin_yielding(std::int64_t now) noexcept {
  began_ns_ = now;
  until_ns_ = now + budget_ns();
  if (crowded_waits_ > 0) {
    --crowded_waits_;
    return false;
  }
  return may_poll_ == nullptr || may_poll_->load(std::memory_order_relaxed) != 0;
}

template <typename P>
void BasicAdaptivePoll<P>::answered() noexcept {
  if (began_ns_ == 0) return record(kFirstLookNs);
  if (++calm_waits_ % kCalmWaits == 0)
    crowded_penalty_ = std::max(crowded_penalty_ / 2, kLeastPenalty);
  record(P::now_ns() - began_ns_);
}

template <typename P>
void BasicAdaptivePoll<P>::slept() noexcept {
  record(P::now_ns() - began_ns_);
}

template <typename P>
void BasicAdaptivePoll<P>::record(std::int64_t wait_ns) noexcept {
  const std::int64_t wait = std::min(wait_ns, 2 * limits_.max_ns);
  const std::int64_t average = average_ns();
  average_ns_.store(average + (wait - average) / 8, std::memory_order_relaxed);
}

}  // namespace fairlead::shm
