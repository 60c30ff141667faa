// SPDX-License-Identifier: Apache-2.0
//
// For tests: how many descriptors this process has open, to see that none is left behind.
#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>

namespace fairlead::shm {

inline std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

}  // namespace fairlead::shm
