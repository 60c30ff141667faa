// SPDX-License-Identifier: Apache-2.0
//
// FL_CHECK: for what only our own bug can make false.  On in release; prints the condition and
// aborts.  Never for input, never for what a peer can cause: those are a Result or a fault.
#pragma once

namespace fairlead::base {

[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace fairlead::base

#define FL_CHECK(condition)                                             \
  (__builtin_expect(!(condition), 0)                                    \
       ? ::fairlead::base::check_failed(#condition, __FILE__, __LINE__) \
       : static_cast<void>(0))
