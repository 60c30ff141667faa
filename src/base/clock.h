// SPDX-License-Identifier: Apache-2.0
//
// Clock: where time comes in.  Monotonic nanoseconds, so that a simulator or a test can be the
// time.  SystemClock is CLOCK_MONOTONIC; ManualClock moves only when told.
//
// Thread-safety: now_ns() from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

namespace fairlead::base {

constexpr std::int64_t kNanosPerMicro = 1'000;
constexpr std::int64_t kNanosPerMilli = 1'000'000;
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

inline std::int64_t monotonic_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNanosPerSecond + now.tv_nsec;
}

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t now_ns() const noexcept = 0;
};

class SystemClock final : public Clock {
 public:
  std::int64_t now_ns() const noexcept override { return monotonic_ns(); }
};

class ManualClock final : public Clock {
 public:
  std::int64_t now_ns() const noexcept override { return now_.load(std::memory_order_relaxed); }
  void advance_ns(std::int64_t step) noexcept { now_.fetch_add(step, std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> now_{0};
};

}  // namespace fairlead::base
