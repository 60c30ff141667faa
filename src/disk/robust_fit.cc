// SPDX-License-Identifier: Apache-2.0
#include "disk/robust_fit.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace fairlead::disk {
namespace {

constexpr std::size_t kMost = FitPoint::kMostColumns;
constexpr int kRounds = 30;
constexpr double kHuber = 1.5;
constexpr double kDeviations = 1.4826;  // of a normal distribution, for each median distance
constexpr double kLeastPivot = 1e-12;

using Row = std::array<double, kMost + 1>;
using Rows = std::array<Row, kMost>;

// Gauss, with the largest pivot.
std::optional<std::vector<double>> solve(Rows rows, std::size_t n) {
  for (std::size_t k = 0; k < n; ++k) {
    const double scale = rows[k][k];
    std::size_t best = k;
    for (std::size_t i = k + 1; i < n; ++i) {
      if (std::abs(rows[i][k]) > std::abs(rows[best][k])) best = i;
    }
    std::swap(rows[k], rows[best]);
    if (std::abs(rows[k][k]) <= kLeastPivot * std::max(1.0, std::abs(scale))) return std::nullopt;
    for (std::size_t i = 0; i < n; ++i) {
      if (i == k) continue;
      const double by = rows[i][k] / rows[k][k];
      for (std::size_t j = k; j < n; ++j) rows[i][j] -= by * rows[k][j];
      rows[i][kMost] -= by * rows[k][kMost];
    }
  }
  std::vector<double> out(n);
  for (std::size_t k = 0; k < n; ++k) out[k] = rows[k][kMost] / rows[k][k];
  return out;
}

double left_over(const FitPoint& point, const std::vector<double>& coefficients) {
  double y = point.y;
  for (std::size_t k = 0; k < coefficients.size(); ++k) y -= coefficients[k] * point.x[k];
  return y;
}

}  // namespace

double quantile_of(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  const auto at =
      std::min(static_cast<std::size_t>(q * static_cast<double>(values.size())), values.size() - 1);
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(at));
  return values[at];
}

std::optional<std::vector<double>> robust_fit(std::span<const FitPoint> points,
                                              std::size_t columns) {
  FL_CHECK(columns > 0 && columns <= kMost);
  std::optional<std::vector<double>> fitted;
  std::vector<double> distances(points.size());
  double bound = 0;  // the first round weighs all alike
  for (int round = 0; round < kRounds; ++round) {
    Rows rows{};
    for (std::size_t i = 0; i < points.size(); ++i) {
      const double distance = fitted ? std::abs(left_over(points[i], *fitted)) : 0;
      const double weight = distance <= bound ? 1 : bound / distance;
      for (std::size_t k = 0; k < columns; ++k) {
        for (std::size_t j = 0; j < columns; ++j) {
          rows[k][j] += weight * points[i].x[k] * points[i].x[j];
        }
        rows[k][kMost] += weight * points[i].x[k] * points[i].y;
      }
    }
    fitted = solve(rows, columns);
    if (!fitted) return std::nullopt;
    for (std::size_t i = 0; i < points.size(); ++i) {
      distances[i] = std::abs(left_over(points[i], *fitted));
    }
    bound = std::max(kHuber * kDeviations * quantile_of(distances, 0.5), 1e-9);
  }
  return fitted;
}

}  // namespace fairlead::disk
