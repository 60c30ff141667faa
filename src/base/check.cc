// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace fairlead::base {

void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "fairlead: internal error, please report: %s:%d: not true: %s\n", file, line,
               condition);
  std::abort();
}

}  // namespace fairlead::base
