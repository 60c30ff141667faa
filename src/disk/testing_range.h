// SPDX-License-Identifier: Apache-2.0
//
// For tests: rapidcheck narrows ranges in early cases; a history needs all of its range from the
// start.
#pragma once

#include <rapidcheck.h>

namespace fairlead::disk {

template <typename T>
T in_range(T first, T end) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(first, end));
}

}  // namespace fairlead::disk
