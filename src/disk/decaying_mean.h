// SPDX-License-Identifier: Apache-2.0
//
// DecayingMean: the mean of what a process does, a new sample weighing an eighth, in the fixed
// point of Linux' schedulers (1.0 is 256).  The number of samples decays likewise: 32 after one, 60
// after two, 84 after three, never more than 249.  So a mean of equal samples ends 3 % too high.
// SeekMean: the same for distances in sectors, of which no single one may count for too much.
//
// Source: Linux 2.6.29, block/as-iosched.c and cfq-iosched.c.  Thread-safety: a value.
#pragma once

#include <algorithm>
#include <cstdint>

#include "disk/parameters.h"

namespace fairlead::disk {

inline constexpr std::uint64_t kDecayingOne = 256;

constexpr std::uint64_t decayed(std::uint64_t total, std::uint64_t sample) noexcept {
  return (7 * total + kDecayingOne * sample) / 8;
}

class DecayingMean {
 public:
  void add(std::uint64_t sample) noexcept { add(sample, kDecayingOne / 2); }
  std::uint64_t mean() const noexcept { return mean_; }
  std::uint32_t samples() const noexcept { return static_cast<std::uint32_t>(samples_); }

 protected:
  void add(std::uint64_t sample, std::uint64_t rounding) noexcept {
    samples_ = decayed(samples_, 1);
    total_ = decayed(total_, sample);
    mean_ = (total_ + rounding) / samples_;
  }

 private:
  std::uint64_t samples_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t mean_ = 0;

  friend class SeekMean;
};

// How much further than four times the mean a distance may count: of the first few, of later ones.
struct SeekReach {
  std::uint32_t few_samples;
  std::uint64_t few_reach;
  std::uint64_t reach;

  static SeekReach of(const Parameters& parameters) {
    return {.few_samples = parameters.count("few_samples"),
            .few_reach = static_cast<std::uint64_t>(parameters["few_reach"]),
            .reach = static_cast<std::uint64_t>(parameters["reach"])};
  }
};

class SeekMean : public DecayingMean {
 public:
  void add(std::uint64_t sectors, const SeekReach& reach) noexcept {
    const bool few = samples() <= reach.few_samples;
    const std::uint64_t most = mean() * 4 + (few ? reach.few_reach : reach.reach);
    DecayingMean::add(std::min(sectors, most), decayed(samples_, 1) / 2);
  }
};

}  // namespace fairlead::disk
