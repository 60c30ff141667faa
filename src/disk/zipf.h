// SPDX-License-Identifier: Apache-2.0
//
// Zipf: ranks 0 … n-1 with probability proportional to 1 / (rank + 1)^s, s ≥ 0 (0 is uniform).
// Exact, O(1), no table: rejection-inversion, W. Hörmann and G. Derflinger, "Rejection-inversion to
// generate variates from monotone discrete distributions", ACM TOMACS 6(3), 1996.  With
// h(x) = x^-s and H its integral, u is drawn uniform over the area under h from 1/2 on (rank 1's
// part cut to h(1)); x = H^-1(u), k = round(x); k is taken if it surely or truly lies under h(k).
//
// Scatter: a bijection of [0, n), so that popular ranks do not lie next to each other on the disk.
//
// Thread-safety: both are constant after construction; the generator is the caller's.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "base/check.h"
#include "base/random.h"
#include "disk/mix.h"

namespace fairlead::disk {

class Zipf {
 public:
  Zipf(std::uint64_t n, double s) : n_(static_cast<double>(n)), s_(s) {
    FL_CHECK(n > 0 && s >= 0);
    low_ = area(1.5) - 1;
    high_ = area(n_ + 0.5);
    sure_ = 2 - inverse(area(2.5) - height(2));
  }

  std::uint64_t rank(base::Random& random) const noexcept {
    for (;;) {
      const double u = high_ + random.unit() * (low_ - high_);
      const double x = inverse(u);
      const double k = std::clamp(std::floor(x + 0.5), 1.0, n_);
      if (k - x <= sure_ || u >= area(k + 0.5) - height(k)) {
        return static_cast<std::uint64_t>(k) - 1;
      }
    }
  }

 private:
  double height(double x) const noexcept { return std::exp(-s_ * std::log(x)); }

  // H(x) = (x^(1-s) - 1) / (1-s), which tends to ln x as s tends to 1.
  double area(double x) const noexcept {
    const double t = (1 - s_) * std::log(x);
    return std::log(x) * (std::abs(t) > kTiny ? std::expm1(t) / t : 1 + t / 2);
  }
  double inverse(double u) const noexcept {
    const double t = std::max(u * (1 - s_), -1.0);
    return std::exp(u * (std::abs(t) > kTiny ? std::log1p(t) / t : 1 - t / 2));
  }

  static constexpr double kTiny = 1e-8;
  double n_;
  double s_;
  double low_;
  double high_;
  double sure_;
};

// Multiplications by odd numbers and shifts to the right are bijections of k-bit numbers; what
// leaves [0, n) goes round again until it returns (cycle walking, Black and Rogaway 2002): at most
// twice on average, as n is more than half of 2^k.
class Scatter {
 public:
  explicit Scatter(std::uint64_t n, std::uint64_t seed = 0)
      : n_(n),
        bits_(std::max(static_cast<int>(std::bit_width(n - 1)), 1)),
        key_(mix64(seed + 0x9e3779b97f4a7c15)) {
    FL_CHECK(n > 0);
  }

  std::uint64_t operator()(std::uint64_t rank) const noexcept {
    do rank = step(rank);
    while (rank >= n_);
    return rank;
  }

 private:
  std::uint64_t step(std::uint64_t x) const noexcept {
    const std::uint64_t mask = ~std::uint64_t{0} >> (64 - bits_);
    const int shift = (bits_ + 1) / 2;
    x = (x ^ key_) & mask;
    x = ((x ^ (x >> shift)) * 0xbf58476d1ce4e5b9) & mask;
    x = ((x ^ (x >> shift)) * 0x94d049bb133111eb) & mask;
    return x ^ (x >> shift);
  }

  std::uint64_t n_;
  int bits_;
  std::uint64_t key_;
};

}  // namespace fairlead::disk
