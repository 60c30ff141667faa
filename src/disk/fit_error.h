// SPDX-License-Identifier: Apache-2.0
//
// FitError: how far a model's times are from those observed.
//
//     rms        of the differences, request by request
//     relative   mean of |difference| / observed
//     demerit    the two distributions' curves, laid over each other: the root mean square of
//                their horizontal distance, as a share of the observed mean (Ruemmler and Wilkes,
//                "An introduction to disk drive modeling", IEEE Computer 27(3), 1994)
//
// Thread-safety: values.
#pragma once

#include <cstddef>
#include <vector>

namespace fairlead::disk {

struct FitError {
  std::size_t count = 0;
  double mean_ns = 0;  // observed
  double rms_ns = 0;
  double relative = 0;
  double demerit = 0;
};

// As many predicted as observed; more than 0 each observed.
FitError fit_error(std::vector<double> observed_ns, std::vector<double> predicted_ns);

}  // namespace fairlead::disk
