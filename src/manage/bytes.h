// SPDX-License-Identifier: Apache-2.0
//
// Sizes of memory, as the managers reckon with them: signed, so that a difference may be negative.
//
// Thread-safety: pure functions.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fairlead::manage {

using Bytes = std::int64_t;

inline constexpr Bytes kMebi = Bytes{1024} * 1024;
inline constexpr Bytes kMostBytes = Bytes{1} << 50;  // sums of these do not overflow

// What somebody reports, believed up to `most`.
constexpr Bytes bounded(std::uint64_t value, Bytes most = kMostBytes) {
  return static_cast<Bytes>(std::min(value, static_cast<std::uint64_t>(most)));
}

}  // namespace fairlead::manage
