// SPDX-License-Identifier: Apache-2.0
//
// Algorithm T by its recurrence: what is left to pay for each neighbourhood of the head, a row at a
// time.  (m+1)(n-m+1) steps, each of few instructions: the best way for few requests.
//
// Thread-safety: none.  Weights: disk/weights_left.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace fairlead::disk {

// The requests as the head sees them: up(1), up(2), … above it, down(1), down(2), … at or below.
template <typename Weights>
class Neighbourhoods {
 public:
  Neighbourhoods(std::uint64_t head, std::span<const std::uint64_t> sectors, std::size_t below,
                 const Weights& weights)
      : head_(static_cast<std::int64_t>(head)),
        sectors_(sectors.data()),
        below_(below),
        above_(sectors.size() - below),
        weights_(weights) {}

  // Whether the head has to go up.  Row i of costs: what is still to pay, from the lowest request
  // served, when i of those below and j of those above are; i goes down to 0.
  bool up_first(std::int64_t* costs) const noexcept {
    first_row(costs);
    for (std::size_t i = below_ - 1; i > 0; --i) (void)next_row<0>(i, costs);
    const std::int64_t all = weight_left(0, 0);
    const std::int64_t down_cost = all * (head_ - down(1)) + costs[0];
    return all * (up(1) - head_) + next_row<1>(0, costs) <= down_cost;
  }

 private:
  std::int64_t weight_left(std::size_t i, std::size_t j) const noexcept {
    return weights_.left_below(i) + weights_.left_above(j);
  }
  std::int64_t at(std::size_t index) const noexcept {
    return static_cast<std::int64_t>(sectors_[index]);
  }
  std::int64_t up(std::size_t j) const noexcept { return j == 0 ? head_ : at(below_ + j - 1); }
  std::int64_t down(std::size_t i) const noexcept { return i == 0 ? head_ : at(below_ - i); }

  // All of those below are served: what is left lies above.
  void first_row(std::int64_t* costs) const noexcept {
    const std::int64_t here = down(below_);
    std::int64_t from_top = 0;  // what is to pay from up(j)
    costs[above_] = 0;
    for (std::size_t j = above_; j-- > 0;) {
      const std::int64_t left = weight_left(below_, j);
      costs[j] = left * (up(j + 1) - here) + from_top;
      from_top += left * (up(j + 1) - up(j));
    }
  }

  // Row i out of row i + 1, from the right to column kLast; what is to pay from up(kLast).
  template <std::size_t kLast>
  std::int64_t next_row(std::size_t i, std::int64_t* costs) const noexcept {
    const std::int64_t here = down(i);
    const std::int64_t lower = down(i + 1);
    std::int64_t left = weight_left(i, above_);
    std::int64_t from_top = left * (up(above_) - lower) + costs[above_];
    costs[above_] += left * (here - lower);
    for (std::size_t j = above_; j-- > kLast;) {
      left = weight_left(i, j);
      const std::int64_t top = j == 0 ? head_ : at(below_ + j - 1);
      const std::int64_t higher = at(below_ + j);
      const std::int64_t below_done = costs[j];
      costs[j] = std::min(left * (higher - here) + from_top, left * (here - lower) + below_done);
      from_top = std::min(left * (higher - top) + from_top, left * (top - lower) + below_done);
    }
    return from_top;
  }

  std::int64_t head_;
  const std::uint64_t* sectors_;
  std::size_t below_;
  std::size_t above_;
  Weights weights_;
};

}  // namespace fairlead::disk
