// SPDX-License-Identifier: Apache-2.0
//
// The fuzzer that must fail: scripts/fuzz is broken if it finds nothing here.
#include "canary.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  parse_canary(data, size);
  return 0;
}
