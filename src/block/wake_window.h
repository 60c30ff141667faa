// SPDX-License-Identifier: Apache-2.0
//
// WakeWindow: how long before a moment a thread has to stop sleeping to be there in time: as long
// as all but a hundredth of its last sleeps overran, from 20 to 150 us.  The rest of the time it
// looks at the clock.
//
// Thread-safety: none.
#pragma once

#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace fairlead::block {

class WakeWindow {
 public:
  static constexpr std::int64_t kLeastNs = 20'000;
  static constexpr std::int64_t kMostNs = 150'000;

  // Timers of this thread are not put together with others.
  static void sharpen_this_thread() noexcept { (void)::prctl(PR_SET_TIMERSLACK, 1UL); }

  std::int64_t ns() const noexcept { return window_ns_; }

  // A sleep ended so long after it should have; below zero: something else ended it.
  void woke(std::int64_t late_ns) noexcept {
    if (late_ns < 0) return;
    late_[count_++] = late_ns;
    if (count_ < late_.size()) return;
    count_ = 0;
    const auto nth = late_.begin() + static_cast<std::ptrdiff_t>(late_.size() - 2);
    std::nth_element(late_.begin(), nth, late_.end());
    window_ns_ = std::clamp(*nth, kLeastNs, kMostNs);
  }

 private:
  std::array<std::int64_t, 128> late_{};
  std::size_t count_ = 0;
  std::int64_t window_ns_ = 80'000;
};

}  // namespace fairlead::block
