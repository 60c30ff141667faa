// SPDX-License-Identifier: Apache-2.0
#include "disk/fit_error.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace fairlead::disk {
namespace {

double rms_of_differences(const std::vector<double>& a, const std::vector<double>& b) {
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(squares / static_cast<double>(a.size()));
}

}  // namespace

FitError fit_error(std::vector<double> observed_ns, std::vector<double> predicted_ns) {
  FL_CHECK(observed_ns.size() == predicted_ns.size());
  FitError error{.count = observed_ns.size()};
  if (error.count == 0) return error;
  const auto n = static_cast<double>(error.count);
  for (std::size_t i = 0; i < error.count; ++i) {
    error.mean_ns += observed_ns[i] / n;
    error.relative += std::abs(predicted_ns[i] - observed_ns[i]) / observed_ns[i] / n;
  }
  error.rms_ns = rms_of_differences(observed_ns, predicted_ns);
  std::ranges::sort(observed_ns);
  std::ranges::sort(predicted_ns);
  error.demerit = rms_of_differences(observed_ns, predicted_ns) / error.mean_ns;
  return error;
}

}  // namespace fairlead::disk
