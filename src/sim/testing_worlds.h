// SPDX-License-Identifier: Apache-2.0
//
// How many simulated worlds a test looks at: fewer under a sanitizer, which makes each slow.
//
// Thread-safety: constants.
#pragma once

#include <cstdint>

namespace fairlead::sim {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FL_SANITIZED_WORLDS 1
#endif
#endif
#ifdef FL_SANITIZED_WORLDS
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

constexpr std::uint64_t worlds(std::uint64_t plain, std::uint64_t sanitized) {
  return kSanitized ? sanitized : plain;
}

// Few worlds make any share of them coarse: there one world more may miss.
inline constexpr std::uint32_t kSpareWorlds = kSanitized ? 1 : 0;

}  // namespace fairlead::sim
