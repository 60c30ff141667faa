// SPDX-License-Identifier: Apache-2.0
//
// For tests: units that several of them count in.
#pragma once

#include <cstdint>

namespace fairlead::manage {

inline constexpr std::int64_t kMebi = 1024 * 1024;

}  // namespace fairlead::manage
