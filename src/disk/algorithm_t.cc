// SPDX-License-Identifier: Apache-2.0
#include "disk/algorithm_t.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace fairlead::disk {
namespace {

// What is left to serve when i of those below the head and j of those above have been.
struct Equal {
  std::int64_t all;
  std::int64_t left(std::size_t i, std::size_t j) const noexcept {
    return all - static_cast<std::int64_t>(i + j);
  }
};

struct Weighted {
  const std::int64_t* before;  // [k]: the sum of the first k weights
  std::size_t below;
  std::size_t all;
  std::int64_t left(std::size_t i, std::size_t j) const noexcept {
    return before[below - i] + before[all] - before[below + j];
  }
};

// The requests as the head sees them: up(1), up(2), … above it, down(1), down(2), … at or below.
template <typename Weights>
class Line {
 public:
  Line(std::uint64_t head, std::span<const std::uint64_t> sectors, std::size_t below,
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
    const std::int64_t all = weights_.left(0, 0);
    const std::int64_t down_cost = all * (head_ - down(1)) + costs[0];
    return all * (up(1) - head_) + next_row<1>(0, costs) <= down_cost;
  }

 private:
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
      const std::int64_t left = weights_.left(below_, j);
      costs[j] = left * (up(j + 1) - here) + from_top;
      from_top += left * (up(j + 1) - up(j));
    }
  }

  // Row i out of row i + 1, from the right to column kLast; what is to pay from up(kLast).
  template <std::size_t kLast>
  std::int64_t next_row(std::size_t i, std::int64_t* costs) const noexcept {
    const std::int64_t here = down(i);
    const std::int64_t lower = down(i + 1);
    std::int64_t left = weights_.left(i, above_);
    std::int64_t from_top = left * (up(above_) - lower) + costs[above_];
    costs[above_] += left * (here - lower);
    for (std::size_t j = above_; j-- > kLast;) {
      left = weights_.left(i, j);
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

std::size_t at_or_below(std::uint64_t head, std::span<const std::uint64_t> sectors) {
  return static_cast<std::size_t>(std::ranges::upper_bound(sectors, head) - sectors.begin());
}

}  // namespace

std::uint32_t AlgorithmT::first(std::uint64_t head, std::span<const std::uint64_t> sectors) {
  FL_CHECK(!sectors.empty() && sectors.size() < costs_.size());
  const std::size_t below = at_or_below(head, sectors);
  const Equal weights{static_cast<std::int64_t>(sectors.size())};
  const bool up = below < sectors.size() &&
                  (below == 0 || Line(head, sectors, below, weights).up_first(costs_.data()));
  return static_cast<std::uint32_t>(up ? below : below - 1);
}

std::uint32_t AlgorithmT::first(std::uint64_t head, std::span<const std::uint64_t> sectors,
                                std::span<const std::uint32_t> weights) {
  FL_CHECK(!sectors.empty() && sectors.size() < costs_.size() && weights.size() == sectors.size());
  const std::size_t below = at_or_below(head, sectors);
  for (std::size_t k = 0; k < weights.size(); ++k) {
    weights_before_[k + 1] = weights_before_[k] + weights[k];
  }
  const Weighted left{weights_before_.data(), below, sectors.size()};
  const bool up = below < sectors.size() &&
                  (below == 0 || Line(head, sectors, below, left).up_first(costs_.data()));
  return static_cast<std::uint32_t>(up ? below : below - 1);
}

std::vector<std::uint32_t> AlgorithmT::order(std::uint64_t head,
                                             std::span<const std::uint64_t> sectors) {
  std::vector<std::uint64_t> left(sectors.begin(), sectors.end());
  std::vector<std::uint32_t> names(sectors.size());
  std::iota(names.begin(), names.end(), 0U);
  std::vector<std::uint32_t> order;
  order.reserve(sectors.size());
  while (!left.empty()) {
    const std::uint32_t next = first(head, left);
    head = left[next];
    order.push_back(names[next]);
    left.erase(left.begin() + next);
    names.erase(names.begin() + next);
  }
  return order;
}

}  // namespace fairlead::disk
