// SPDX-License-Identifier: Apache-2.0
//
// DriveCache: the cache of a drive as time passes.  Segments of adjacent sectors, the oldest given
// up first; after a read the drive goes on reading until `ahead_sectors` more are there or somebody
// wants something else.
//
//     segment   begin ......... read | being read ahead ..... |
//                                  end at that time        limit
//
// Thread-safety: none.  The constructor allocates.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "disk/cache_shadow.h"

namespace fairlead::disk {

class DriveCache {
 public:
  explicit DriveCache(const CacheShape& shape) : shape_(shape), segments_(shape.segments) {}

  // When the last of these sectors is in the cache, if the drive is left alone; nothing: it will
  // not be.
  std::optional<std::int64_t> ready_ns(std::uint64_t sector, std::uint32_t count,
                                       std::int64_t now_ns) const noexcept {
    const std::uint64_t end = sector + count;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      const Segment& one = segments_[i];
      if (one.begin <= sector && end <= one.end) return now_ns;
      if (i == filling_ && one.begin <= sector && sector <= one.limit && end <= one.limit) {
        const auto left = static_cast<double>(end - one.end);
        return std::max(now_ns, one.since_ns + static_cast<std::int64_t>(left * one.sector_ns));
      }
    }
    return {};
  }

  // They were given out of the cache: the drive reads ahead from there on, if it has not moved.
  void given(std::uint64_t sector, std::uint32_t count, std::int64_t now_ns) noexcept {
    if (filling_ == kNone) return;
    Segment& one = segments_[filling_];
    if (sector < one.begin || sector + count > one.limit) return;
    advance(now_ns);
    one.limit = std::max(one.limit, sector + count + shape_.ahead_sectors);
  }

  // The heads leave.
  void stop(std::int64_t now_ns) noexcept {
    advance(now_ns);
    filling_ = kNone;
  }

  // Read from the media until `now_ns`, a sector each `sector_ns`; the drive goes on.
  void filled(std::uint64_t sector, std::uint32_t count, std::int64_t now_ns, double sector_ns,
              std::uint64_t last_sector) noexcept {
    if (segments_.empty()) return;
    filling_ = continued_by(sector);
    if (filling_ == kNone) {
      filling_ = next_;
      next_ = (next_ + 1) % segments_.size();
      segments_[filling_] = {.begin = sector};
    }
    Segment& one = segments_[filling_];
    one.end = sector + count;
    one.limit = std::min(one.end + shape_.ahead_sectors, last_sector);
    one.limit = std::max(one.limit, one.end);
    one.since_ns = now_ns;
    one.sector_ns = sector_ns;
    trim(one);
  }

  // What was read from the media last ended at another time.
  void filled_from(std::int64_t now_ns) noexcept {
    if (filling_ != kNone) segments_[filling_].since_ns = now_ns;
  }

  void written(std::uint64_t sector, std::uint32_t count) noexcept {
    for (Segment& one : segments_) {
      if (sector < one.limit && one.begin < sector + count) one = {};
    }
  }

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  struct Segment {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;    // at since_ns
    std::uint64_t limit = 0;  // until which it is filled
    std::int64_t since_ns = 0;
    double sector_ns = 0;
  };

  std::size_t continued_by(std::uint64_t sector) const noexcept {
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      if (segments_[i].begin <= sector && sector <= segments_[i].end && segments_[i].end > 0) {
        return i;
      }
    }
    return kNone;
  }

  void advance(std::int64_t now_ns) noexcept {
    if (filling_ == kNone) return;
    Segment& one = segments_[filling_];
    if (one.sector_ns <= 0 || now_ns <= one.since_ns) return;
    const auto read =
        static_cast<std::uint64_t>(static_cast<double>(now_ns - one.since_ns) / one.sector_ns);
    const std::uint64_t end = std::min(one.end + read, one.limit);
    one.since_ns = end == one.limit
                       ? now_ns
                       : one.since_ns + static_cast<std::int64_t>(
                                            static_cast<double>(end - one.end) * one.sector_ns);
    one.end = end;
    trim(one);
  }

  void trim(Segment& one) const noexcept {
    if (one.end - one.begin > shape_.segment_sectors) {
      one.begin = one.end - shape_.segment_sectors;
    }
  }

  CacheShape shape_;
  std::vector<Segment> segments_;
  std::size_t next_ = 0;
  std::size_t filling_ = kNone;
};

}  // namespace fairlead::disk
