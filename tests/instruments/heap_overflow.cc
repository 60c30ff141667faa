// SPDX-License-Identifier: Apache-2.0
//
// Wrong on purpose: AddressSanitizer has to report it.
#include <cstdio>
#include <vector>

int main(int argc, char**) {
  const std::vector<int> numbers(4, argc);
  const volatile int* past = numbers.data();
  std::printf("%d\n", past[numbers.size()]);
}
