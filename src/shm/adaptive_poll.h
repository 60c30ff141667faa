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
//   budget = clamp(4 · average wait, 20 µs, max_ns);  none if the average wait exceeds max_ns
//   average: exponential, 1/8 a wait, each wait clamped to 2 · max_ns
//
// Thread-safety: begin(), again(), answered(), slept() by the thread that waits; brief() by any.
// Times in nanoseconds.
#pragma once

#include <atomic>
#include <cstdint>

namespace fairlead::shm {

struct PollLimits {
  std::int64_t max_ns = 1'000'000;    // longest look; 0: always sleep at once
  std::int64_t crowded_ns = 500'000;  // a yield longer than this: the core is not free
  std::int64_t brief_ns = 100'000;    // waits up to this are too short to sleep for
};

class AdaptivePoll {
 public:
  explicit AdaptivePoll(const PollLimits& limits) noexcept : limits_(limits) {}

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
  std::int64_t budget_ns() const noexcept;

 private:
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
};

}  // namespace fairlead::shm
