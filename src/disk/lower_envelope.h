// SPDX-License-Identifier: Apache-2.0
//
// LowerEnvelope: the least of several lines at places that only grow, where each line added is less
// steep than those before it.  All of it takes time in proportion to lines and places.
//
// Thread-safety: none.  Nothing allocates after construction.  slope · place + base has to fit 64
// bits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fairlead::disk {

class LowerEnvelope {
 public:
  explicit LowerEnvelope(std::size_t most) { lines_.reserve(most); }

  void clear() noexcept {
    lines_.clear();
    least_ = 0;
  }

  void add(std::int64_t slope, std::int64_t base) {
    const Line line{slope, base};
    while (lines_.size() > 1 && hides(lines_[lines_.size() - 2], lines_.back(), line)) {
      lines_.pop_back();
    }
    lines_.push_back(line);
    least_ = std::min(least_, lines_.size() - 1);
  }

  // Of one line at least.
  std::int64_t at(std::int64_t place) noexcept {
    while (least_ + 1 < lines_.size() && lines_[least_ + 1].at(place) <= lines_[least_].at(place)) {
      ++least_;
    }
    return lines_[least_].at(place);
  }
  std::int64_t last_at(std::int64_t place) const noexcept { return lines_.back().at(place); }

 private:
  struct Line {
    std::int64_t slope;
    std::int64_t base;
    std::int64_t at(std::int64_t place) const noexcept { return slope * place + base; }
  };

  // Whether the second is nowhere below the other two, where slopes fall.
  static bool hides(const Line& first, const Line& second, const Line& third) noexcept {
    __extension__ using Wide = __int128;
    return Wide{third.base - first.base} * (first.slope - second.slope) <=
           Wide{second.base - first.base} * (first.slope - third.slope);
  }

  std::vector<Line> lines_;
  std::size_t least_ = 0;  // at the place asked for last
};

}  // namespace fairlead::disk
