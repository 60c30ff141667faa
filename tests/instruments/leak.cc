// SPDX-License-Identifier: Apache-2.0
//
// Wrong on purpose: LeakSanitizer, a part of AddressSanitizer, has to report it.
#include <cstdio>
#include <cstdlib>

int main() {
  void* volatile lost = std::malloc(100);
  std::printf("%d\n", lost != nullptr);
  lost = nullptr;
}
