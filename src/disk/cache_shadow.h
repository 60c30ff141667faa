// SPDX-License-Identifier: Apache-2.0
//
// CacheShadow: which sectors the cache of a drive holds, by simple rules: fully associative
// segments, the oldest given up first, filled ahead of what was read; a segment that is read on
// wraps around: its newest sectors push out its oldest.
//
//     segment   |..... read ..... ahead|      at most segment_sectors long
//
// A model and a scheduler each have one of their own, so a scheduler that is mistaken pays for it.
// Source: document 004, "CATS": cache model.
//
// Thread-safety: none.  The constructor allocates.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace fairlead::disk {

struct CacheShape {
  std::uint32_t segments = 64;  // 0: no cache
  std::uint32_t segment_sectors = 221;
  std::uint32_t ahead_sectors = 64;
};

class CacheShadow {
 public:
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  explicit CacheShadow(const CacheShape& shape) : shape_(shape) { held_.reserve(shape.segments); }

  // In no order; some may be empty.
  const std::vector<Range>& ranges() const noexcept { return held_; }

  bool holds(std::uint64_t sector, std::uint32_t count) const noexcept {
    return std::ranges::any_of(
        held_, [&](const Range& one) { return one.begin <= sector && sector + count <= one.end; });
  }

  // What the drive was asked for and has read; whether it had it already.
  bool read(std::uint64_t sector, std::uint32_t count) noexcept {
    const std::uint64_t end = sector + count;
    for (Range& one : held_) {
      if (one.begin > sector || sector > one.end) continue;
      const bool hit = end <= one.end;
      grow(one, end + shape_.ahead_sectors);
      return hit;
    }
    if (shape_.segments == 0) return false;
    Range& one = oldest();
    one = {sector, sector};
    grow(one, end + shape_.ahead_sectors);
    return false;
  }

  // Sectors that were written are not what the cache holds.
  void write(std::uint64_t sector, std::uint32_t count) noexcept {
    for (Range& one : held_) {
      if (sector < one.end && one.begin < sector + count) one = {};
    }
  }

 private:
  void grow(Range& one, std::uint64_t end) const noexcept {
    one.end = std::max(one.end, end);
    if (one.end - one.begin > shape_.segment_sectors) one.begin = one.end - shape_.segment_sectors;
  }

  Range& oldest() noexcept {
    if (held_.size() < shape_.segments) return held_.emplace_back();
    Range& one = held_[next_];
    next_ = (next_ + 1) % shape_.segments;
    return one;
  }

  CacheShape shape_;
  std::vector<Range> held_;
  std::uint32_t next_ = 0;
};

}  // namespace fairlead::disk
