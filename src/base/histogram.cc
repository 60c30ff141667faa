// SPDX-License-Identifier: Apache-2.0
#include "base/histogram.h"

#include <algorithm>
#include <cmath>

namespace fairlead::base {

void Histogram::merge(const Histogram& other) noexcept {
  for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

std::uint64_t Histogram::quantile(double q) const noexcept {
  if (count_ == 0) return 0;
  if (!(q > 0)) return min_;
  if (q >= 1) return max_;
  // A hair less than q·n, so that 0.07 · 100 = 7.000000000000001 is rank 7 and not 8.
  const double wanted = q * static_cast<double>(count_) * (1 - 0x1p-50);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    // The ends are known exactly: a bucket's middle never leaves what was recorded.
    if (static_cast<double>(seen) >= wanted) return std::clamp(middle_of(i), min_, max_);
  }
  return max_;
}

double Histogram::mean() const noexcept {
  return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

void Summary::merge(const Summary& other) noexcept {
  if (other.count_ == 0) return;
  if (count_ == 0) {
    *this = other;
    return;
  }
  const auto here = static_cast<double>(count_);
  const auto there = static_cast<double>(other.count_);
  const double delta = other.mean_ - mean_;
  count_ += other.count_;
  mean_ += delta * (there / (here + there));
  squares_ += other.squares_ + delta * delta * (here * there / (here + there));
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

double Summary::variance() const noexcept {
  return count_ < 2 ? 0 : squares_ / static_cast<double>(count_ - 1);
}

double Summary::standard_deviation() const noexcept { return std::sqrt(variance()); }

}  // namespace fairlead::base
