// SPDX-License-Identifier: Apache-2.0
//
// Histogram: the distribution of unsigned integers (nanoseconds, as a rule) in fixed memory.
//
// Log-linear buckets: values below 64 have one each; every power of two above is cut into 64 equal
// ones.  A bucket is at most 1/64 of its lowest value wide and answers with its middle, so that
//
//     |quantile(q) - exact| <= exact / 128        (0.79 %)
//
// for the exact quantile of nearest rank, over the whole range of uint64.  count, min, max and the
// sum are exact.  30 KiB; record() neither allocates nor branches on what came before.
//
// Summary: exact count, min, max, mean and standard deviation of doubles, in five words (Welford
// 1962; merged after Chan, Golub and LeVeque 1979).
//
// Thread-safety: none; let each thread fill its own and merge them.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace fairlead::base {

class Histogram {
 public:
  void record(std::uint64_t value) noexcept { record(value, 1); }
  void record(std::uint64_t value, std::uint64_t times) noexcept {
    if (times == 0) return;
    buckets_[bucket_of(value)] += times;
    count_ += times;
    sum_ += static_cast<Wide>(value) * times;
    if (value < min_) min_ = value;
    if (value > max_) max_ = value;
  }

  // As if everything recorded there had been recorded here.
  void merge(const Histogram& other) noexcept;
  void clear() noexcept { *this = Histogram(); }

  // The smallest value with at least the share q of all values at or below it, within the error
  // above; q is cut to [0, 1].  quantile(0) is min(), quantile(1) is max().  0 when empty.
  std::uint64_t quantile(double q) const noexcept;

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t min() const noexcept { return count_ == 0 ? 0 : min_; }
  std::uint64_t max() const noexcept { return max_; }
  double mean() const noexcept;  // 0 when empty

 private:
  __extension__ using Wide = unsigned __int128;  // 2^64 values of 2^64 fit

  static constexpr unsigned kSubBits = 6;
  static constexpr std::size_t kSubBuckets = std::size_t{1} << kSubBits;
  static constexpr std::size_t kBuckets = (64 - kSubBits + 1) * kSubBuckets;

  static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
    if (value < kSubBuckets) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - kSubBits - 1;
    return shift * kSubBuckets + (value >> shift);
  }
  static constexpr std::uint64_t middle_of(std::size_t bucket) noexcept {
    if (bucket < kSubBuckets) return bucket;
    const std::size_t shift = bucket / kSubBuckets - 1;
    const std::uint64_t low = (bucket % kSubBuckets + kSubBuckets) << shift;
    return low + ((std::uint64_t{1} << shift) >> 1);
  }

  std::uint64_t count_ = 0;
  std::uint64_t min_ = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t max_ = 0;
  Wide sum_ = 0;
  std::array<std::uint64_t, kBuckets> buckets_{};
};

class Summary {
 public:
  void add(double value) noexcept {
    ++count_;
    const double delta = value - mean_;
    mean_ += delta / static_cast<double>(count_);
    squares_ += delta * (value - mean_);
    if (count_ == 1 || value < min_) min_ = value;
    if (count_ == 1 || value > max_) max_ = value;
  }
  void merge(const Summary& other) noexcept;

  // All zero when empty.
  std::uint64_t count() const noexcept { return count_; }
  double min() const noexcept { return min_; }
  double max() const noexcept { return max_; }
  double mean() const noexcept { return mean_; }
  double variance() const noexcept;  // of the sample (n - 1); 0 for fewer than two values
  double standard_deviation() const noexcept;

 private:
  std::uint64_t count_ = 0;
  double mean_ = 0;
  double squares_ = 0;  // sum of squared distances from the mean
  double min_ = 0;
  double max_ = 0;
};

}  // namespace fairlead::base
