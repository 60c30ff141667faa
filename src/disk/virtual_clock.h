// SPDX-License-Identifier: Apache-2.0
//
// VirtualClock: the time of a modelled disk, which runs k times slower than the real one:
//
//     V = V0 + (t − t0) / k          anchored anew when k changes, so V never jumps
//
// Model, scheduler and whoever thinks between requests all live in V; it is turned into real time
// only where somebody sleeps.
//
// Thread-safety: none.  Nanoseconds.
#pragma once

#include <cmath>
#include <cstdint>

namespace fairlead::disk {

class VirtualClock {
 public:
  VirtualClock(std::int64_t now_ns, double k) : real_ns_(now_ns), k_(k) {}

  double k() const noexcept { return k_; }
  void set_k(double k, std::int64_t now_ns) noexcept {
    virtual_ns_ = virtual_ns(now_ns);
    real_ns_ = now_ns;
    k_ = k;
  }

  // Never backwards, if `now_ns` is not.
  std::int64_t virtual_ns(std::int64_t now_ns) const noexcept {
    return virtual_ns_ + static_cast<std::int64_t>(static_cast<double>(now_ns - real_ns_) / k_);
  }
  // The first real nanosecond at which it is that late.
  std::int64_t real_ns(std::int64_t virtual_ns) const noexcept {
    const double away = static_cast<double>(virtual_ns - virtual_ns_) * k_;
    return real_ns_ + static_cast<std::int64_t>(std::ceil(away));
  }

 private:
  std::int64_t real_ns_;
  std::int64_t virtual_ns_ = 0;
  double k_;
};

}  // namespace fairlead::disk
