// SPDX-License-Identifier: Apache-2.0
#include "disk/algorithm_t.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "disk/neighbourhoods.h"
#include "disk/weights_left.h"

namespace fairlead::disk {
namespace {

constexpr std::size_t kFewNeighbourhoods = 500;  // the recurrence is faster: measured

std::size_t at_or_below(std::uint64_t head, std::span<const std::uint64_t> sectors) {
  return static_cast<std::size_t>(std::ranges::upper_bound(sectors, head) - sectors.begin());
}

}  // namespace

template <typename Weights>
std::uint32_t AlgorithmT::first_of(std::uint64_t head, std::span<const std::uint64_t> sectors,
                                   std::size_t below, const Weights& weights) {
  const std::size_t above = sectors.size() - below;
  bool up = below == 0;
  if (below > 0 && above > 0) {
    up = (below + 1) * (above + 1) <= kFewNeighbourhoods
             ? Neighbourhoods(head, sectors, below, weights).up_first(costs_.data())
             : turns_.up_first(head, sectors, below, weights);
  }
  return static_cast<std::uint32_t>(up ? below : below - 1);
}

std::uint32_t AlgorithmT::first(std::uint64_t head, std::span<const std::uint64_t> sectors) {
  FL_CHECK(!sectors.empty() && sectors.size() < costs_.size());
  const std::size_t below = at_or_below(head, sectors);
  return first_of(head, sectors, below,
                  EqualWeights{static_cast<std::int64_t>(below),
                               static_cast<std::int64_t>(sectors.size() - below)});
}

std::uint32_t AlgorithmT::first(std::uint64_t head, std::span<const std::uint64_t> sectors,
                                std::span<const std::uint32_t> weights) {
  FL_CHECK(!sectors.empty() && sectors.size() < costs_.size() && weights.size() == sectors.size());
  for (std::size_t k = 0; k < weights.size(); ++k) {
    weights_before_[k + 1] = weights_before_[k] + weights[k];
  }
  const std::size_t below = at_or_below(head, sectors);
  return first_of(head, sectors, below,
                  UnequalWeights{weights_before_.data(), below, sectors.size()});
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
