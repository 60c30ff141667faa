// SPDX-License-Identifier: Apache-2.0
//
// Wrong on purpose: ThreadSanitizer has to report it.
#include <cstdio>
#include <thread>

int main() {
  int shared = 0;
  std::thread other([&] { ++shared; });
  ++shared;
  other.join();
  std::printf("%d\n", shared);
}
