// SPDX-License-Identifier: Apache-2.0
//
// src/guest/packages.lock, built into the program (cmake/guest.cmake).
#pragma once

namespace fairlead::guest {

extern const char* const kBuiltInLock;

}  // namespace fairlead::guest
