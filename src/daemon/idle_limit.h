// SPDX-License-Identifier: Apache-2.0
//
// IdleLimit: how long nothing has happened (document 000, 3-2: a server without requests for five
// minutes ends).
//
// Thread-safety: touch() and the questions from any thread; a touch is one relaxed store.
// Units: nanoseconds of the clock.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace fairlead::daemon {

class IdleLimit {
 public:
  // limit_ns 0: never expires.
  IdleLimit(const base::Clock& clock, std::int64_t limit_ns) noexcept
      : clock_(clock), limit_ns_(limit_ns), last_ns_(clock.now_ns()) {}

  void touch() noexcept { touch(clock_.now_ns()); }
  // For who has just looked at the same clock.
  void touch(std::int64_t now_ns) noexcept { last_ns_.store(now_ns, std::memory_order_relaxed); }

  // Until it expires, if nothing happens; negative: never (as poll and epoll take it).
  std::int64_t remaining_ns() const noexcept {
    if (limit_ns_ == 0) return -1;
    return std::max<std::int64_t>(limit_ns_ - idle_ns(), 0);
  }

  std::int64_t idle_ns() const noexcept {
    return clock_.now_ns() - last_ns_.load(std::memory_order_relaxed);
  }
  bool expired() const noexcept { return remaining_ns() == 0; }

 private:
  const base::Clock& clock_;
  std::int64_t limit_ns_;
  std::atomic<std::int64_t> last_ns_;
};

}  // namespace fairlead::daemon
