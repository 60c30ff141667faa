// SPDX-License-Identifier: Apache-2.0
//
// Dilation: how much slower than the modelled disk the real one may be (document 004's k).
//
//     up      more than 1 % of the requests of a window were late      k · 1.25
//     down    less than 0.1 % in each of three windows in a row        k · 0.9
//
// A window is 2000 requests.  After a change one window is not looked at.  Late is a request whose
// data came after the model's end.  Locked, k stays as it is.  Steps, windows and range are ours;
// the two shares are document 004's.
//
// Thread-safety: none.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fairlead::disk {

class Dilation {
 public:
  static constexpr double kLeast = 1.0 / 16;
  static constexpr double kMost = 64;
  static constexpr std::uint32_t kWindow = 2000;

  Dilation(double k, bool locked) : k_(k), locked_(locked) {}

  double k() const noexcept { return k_; }
  bool locked() const noexcept { return locked_; }

  // One request has been answered.  True: k has changed.
  bool answered(bool late) noexcept {
    ++requests_;
    late_ += late ? 1 : 0;
    if (requests_ < kWindow) return false;
    const bool up = late_ * 100 > requests_;
    const bool down = late_ * 1000 < requests_;
    requests_ = late_ = 0;
    if (locked_) return false;
    if (skip_) {
      skip_ = false;
      return false;
    }
    calm_ = down ? calm_ + 1 : 0;
    const double before = k_;
    if (up) k_ = std::min(k_ * 1.25, kMost);
    if (calm_ == 3) k_ = std::max(k_ * 0.9, kLeast);
    if (calm_ == 3) calm_ = 0;
    skip_ = k_ != before;
    return skip_;
  }

 private:
  double k_;
  bool locked_;
  bool skip_ = false;
  std::uint32_t requests_ = 0;
  std::uint32_t late_ = 0;
  std::uint32_t calm_ = 0;  // windows in a row
};

}  // namespace fairlead::disk
