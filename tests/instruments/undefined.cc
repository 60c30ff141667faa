// SPDX-License-Identifier: Apache-2.0
//
// Wrong on purpose: UndefinedBehaviorSanitizer has to report it.
#include <cstdio>
#include <limits>

int main(int argc, char**) {
  const volatile int most = std::numeric_limits<int>::max();
  std::printf("%d\n", most + argc);
}
