// SPDX-License-Identifier: Apache-2.0
//
// Student's t: how many standard errors either side of a mean of few values its 95 % interval
// reaches.
//
// Thread-safety: a pure function.
#pragma once

#include <cstddef>
#include <iterator>

namespace fairlead::base {

// The 97.5 % quantile for so many degrees of freedom, which is one less than there are values.
inline double student_975(std::size_t freedom) noexcept {
  constexpr double kQuantiles[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                   2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                                   2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                                   2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
  constexpr double kNormal = 1.96;
  return freedom > 0 && freedom <= std::size(kQuantiles) ? kQuantiles[freedom - 1] : kNormal;
}

}  // namespace fairlead::base
