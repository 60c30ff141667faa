// SPDX-License-Identifier: Apache-2.0
//
// mix64: a bijection of 64-bit numbers whose every output bit depends on every input bit (the
// finaliser of SplitMix64; Steele, Lea and Flood, OOPSLA 2014).  For hash tables, not for secrets.
#pragma once

#include <cstdint>

namespace fairlead::disk {

constexpr std::uint64_t mix64(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace fairlead::disk
