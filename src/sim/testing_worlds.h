// SPDX-License-Identifier: Apache-2.0
//
// How many simulated worlds a test looks at: fewer under a sanitizer, which makes each slow.
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

}  // namespace fairlead::sim
