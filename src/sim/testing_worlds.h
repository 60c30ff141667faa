// SPDX-License-Identifier: Apache-2.0
//
// For tests: how many simulated worlds one looks at, fewer under a sanitizer, which makes each
// slow; and a unit.
//
// Thread-safety: constants.
#pragma once

#include <cstdint>

#include "base/sanitizers.h"

namespace fairlead::sim {

constexpr std::uint64_t worlds(std::uint64_t plain, std::uint64_t sanitized) {
  return base::kSanitized ? sanitized : plain;
}

// Few worlds make any share of them coarse: there one world more may miss.
inline constexpr std::uint32_t kSpareWorlds = base::kSanitized ? 1 : 0;

inline constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

}  // namespace fairlead::sim
