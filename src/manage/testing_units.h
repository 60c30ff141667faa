// SPDX-License-Identifier: Apache-2.0
//
// For tests: kMiB as a signed number, for differences and targets.
#pragma once

#include <cstdint>

namespace fairlead::manage {

inline constexpr std::int64_t kMebi = 1024 * 1024;

}  // namespace fairlead::manage
