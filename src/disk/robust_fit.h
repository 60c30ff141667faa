// SPDX-License-Identifier: Apache-2.0
//
// Linear regression that a few wild values do not turn: y = Σ c_i · x_i with Huber's weights, by
// repeated least squares.  What is farther from the line than 1.5 standard deviations (estimated by
// the median of the distances) counts in inverse proportion to its distance.  Huber, "Robust
// Statistics", 1981.
//
// Thread-safety: pure functions.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

namespace fairlead::disk {

struct FitPoint {
  static constexpr std::size_t kMostColumns = 3;
  std::array<double, kMostColumns> x{};
  double y = 0;
};

// The coefficients of the first `columns`.  Nothing: the points do not tell them apart.
std::optional<std::vector<double>> robust_fit(std::span<const FitPoint> points,
                                              std::size_t columns);

// The value with the share q of all below it; 0 if there is none.  Sorts in part.
double quantile_of(std::vector<double>& values, double q);

}  // namespace fairlead::disk
