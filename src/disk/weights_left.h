// SPDX-License-Identifier: Apache-2.0
//
// For algorithm T: the weight that is left on a side of the head when so many there have been
// served, from the head on.
//
// Thread-safety: values.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fairlead::disk {

struct EqualWeights {
  std::int64_t below;
  std::int64_t above;
  std::int64_t left_below(std::size_t served) const noexcept {
    return below - static_cast<std::int64_t>(served);
  }
  std::int64_t left_above(std::size_t served) const noexcept {
    return above - static_cast<std::int64_t>(served);
  }
};

struct UnequalWeights {
  const std::int64_t* before;  // [k]: the sum of the first k weights
  std::size_t below;
  std::size_t all;
  std::int64_t left_below(std::size_t served) const noexcept { return before[below - served]; }
  std::int64_t left_above(std::size_t served) const noexcept {
    return before[all] - before[below + served];
  }
};

}  // namespace fairlead::disk
