// SPDX-License-Identifier: Apache-2.0
//
// AdaptivePoll: whether and how long to look for an answer before sleeping.
//
// Waking a processor that has gone idle costs more than most answers take, so a waiter looks on
// while waits have lately been short.  First it spins, for about as long as giving up its core and
// getting it back would cost; then it looks politely and yields its core between two looks, so that
// it only burns time nobody else wants; and when a yield shows that another program had the core
// for long, it stops polling for a while, because a sleeper is scheduled sooner than one that
// yields.
//
//   budget = max_ns, or none if the average wait exceeds it
//   averages: exponential, 1/8 a wait, each wait clamped to 2 · max_ns and kManyYields yields
//
// Whether others should step aside for an answer is told by yields, not by time: with many threads
// on a core a wait lasts long because all of them had their turn, and the answer is there after one
// yield all the same.  By time, 64 threads once slowed down would sleep, and so stay slow.
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
  std::int64_t spin_ns = 2'500;       // before the first yield; 0: a few looks all the same
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
    yields_ = 0;
    began_ns_ = 0;
    spinning_ = true;
  }
  // True: look once more.
  bool again() noexcept;
  // The wait ended while looking; or in a sleep.
  void answered() noexcept;
  void slept() noexcept;

  // Answers have lately come within a few yields: sooner than a sleep and a wake-up.
  bool brief() const noexcept {
    return limits_.max_ns > 0 && average_yields_.load(std::memory_order_relaxed) <= kFewYields;
  }

  std::int64_t average_ns() const noexcept { return average_ns_.load(std::memory_order_relaxed); }
  std::int64_t budget_ns() const noexcept {
    return average_ns() > limits_.max_ns ? 0 : limits_.max_ns;
  }

 private:
  static constexpr int kLooksAClock = 16;            // spinning: looks between two of the clock
  static constexpr std::int64_t kFirstLookNs = 300;  // about what they take
  static constexpr int kYield = 16;                  // one yield, in the unit of their average
  static constexpr int kFewYields = 4 * kYield;
  static constexpr int kManyYields = 64 * kYield;
  static constexpr int kLeastPenalty = 64;  // waits slept through; a lost time slice costs as much
  static constexpr int kMostPenalty = 1024;
  static constexpr unsigned kCalmWaits = 1024;  // halve the penalty

  void record(std::int64_t wait_ns, int yields) noexcept;
  bool begin_looking(std::int64_t now) noexcept;
  void leave_alone() noexcept;

  const PollLimits limits_;
  const std::atomic<std::uint32_t>* may_poll_ = nullptr;  // none: always
  std::atomic<std::int64_t> average_ns_{0};
  std::atomic<int> average_yields_{0};
  std::int64_t began_ns_ = 0;   // 0: not before the first look at the clock
  std::int64_t looked_ns_ = 0;  // when it yielded last
  std::int64_t until_ns_ = 0;
  int looks_ = 0;
  int yields_ = 0;
  bool spinning_ = true;
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
  if (spinning_ && ++looks_ % kLooksAClock != 0) {
    P::relax();
    return true;
  }
  const std::int64_t now = P::now_ns();
  if (began_ns_ == 0) return begin_looking(now);
  if (spinning_) {
    if (now - began_ns_ < limits_.spin_ns) return true;
    spinning_ = false;
  } else if (now - looked_ns_ > limits_.crowded_ns) {
    leave_alone();
    return false;
  }
  if (now >= until_ns_) return false;
  looked_ns_ = now;
  ++yields_;
  P::yield();
  return true;
}

template <typename P>
bool BasicAdaptivePoll<P>::begin_looking(std::int64_t now) noexcept {
  began_ns_ = now;
  until_ns_ = now + budget_ns();
  if (crowded_waits_ > 0) {
    --crowded_waits_;
    return false;
  }
  return may_poll_ == nullptr || may_poll_->load(std::memory_order_relaxed) != 0;
}

// Another program wants this core.
template <typename P>
void BasicAdaptivePoll<P>::leave_alone() noexcept {
  calm_waits_ = 0;
  crowded_penalty_ = std::max(crowded_penalty_, kLeastPenalty);
  crowded_waits_ = crowded_penalty_;
  crowded_penalty_ = std::min(2 * crowded_penalty_, kMostPenalty);
}

template <typename P>
void BasicAdaptivePoll<P>::answered() noexcept {
  if (began_ns_ == 0) return record(kFirstLookNs, 0);
  if (++calm_waits_ % kCalmWaits == 0)
    crowded_penalty_ = std::max(crowded_penalty_ / 2, kLeastPenalty);
  record(P::now_ns() - began_ns_, yields_);
}

// A wait that ended in a sleep is none to step aside for, however few its yields were.
template <typename P>
void BasicAdaptivePoll<P>::slept() noexcept {
  record(P::now_ns() - began_ns_, kManyYields);
}

template <typename P>
void BasicAdaptivePoll<P>::record(std::int64_t wait_ns, int yields) noexcept {
  const std::int64_t wait = std::min(wait_ns, 2 * limits_.max_ns);
  const std::int64_t average = average_ns();
  average_ns_.store(average + (wait - average) / 8, std::memory_order_relaxed);
  const int count = std::min(yields, kManyYields / kYield) * kYield;
  const int average_yields = average_yields_.load(std::memory_order_relaxed);
  average_yields_.store(average_yields + (count - average_yields) / 8, std::memory_order_relaxed);
}

}  // namespace fairlead::shm
