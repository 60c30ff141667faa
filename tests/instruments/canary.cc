// SPDX-License-Identifier: Apache-2.0
#include "canary.h"

int parse_canary(const std::uint8_t* data, std::size_t size) {
  if (size < 5) return 0;
  if (data[0] != 'S') return 1;
  if (data[1] != 'E') return 2;
  if (data[2] != 'G') return 3;
  if (data[3] != '1') return 4;
  return data[data[4]];  // the bug: a length that nobody held against the size
}
