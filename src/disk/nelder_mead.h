// SPDX-License-Identifier: Apache-2.0
//
// The least of a function of several numbers, without its derivatives: the simplex of Nelder and
// Mead, "A simplex method for function minimization", Computer Journal 7(4), 1965, begun anew
// around what it found until that no longer helps.  No chance in it: the same input gives the same
// answer.
//
// Thread-safety: none beyond that of the function.
#pragma once

#include <functional>
#include <vector>

namespace fairlead::disk {

struct Minimum {
  std::vector<double> at;
  double value = 0;
};

// From `begin`, with a simplex that reaches `steps` (none of them 0) far; about `most_calls` of
// `function` at most.
Minimum nelder_mead(const std::function<double(const std::vector<double>&)>& function,
                    std::vector<double> begin, const std::vector<double>& steps, int most_calls);

}  // namespace fairlead::disk
