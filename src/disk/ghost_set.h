// SPDX-License-Identifier: Apache-2.0
//
// GhostSet: remembers about as many departed sectors as it was made for, the latest, in 2 bytes
// each: sets of eight 16-bit fingerprints, newest first, where a new one pushes out the oldest of
// its set.  It may remember one that never was (chance 8 / 65535) and forget one early.
//
// The array is made in the constructor.  Thread-safety: none.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "disk/mix.h"

namespace fairlead::disk {

class GhostSet {
 public:
  static constexpr std::uint32_t kWays = 8;

  static constexpr std::size_t bytes_for(std::uint32_t ghosts) noexcept {
    return (ghosts + kWays - 1) / kWays * sizeof(Set);
  }

  explicit GhostSet(std::uint32_t ghosts) : sets_(bytes_for(ghosts) / sizeof(Set)) {}

  void add(std::uint64_t sector) noexcept {
    if (sets_.empty()) return;
    const std::uint64_t hash = mix64(~sector);
    Set& set = sets_[place(hash)];
    std::copy_backward(set.begin(), set.end() - 1, set.end());
    set[0] = fingerprint(hash);
  }

  // Whether it was there; it is not any more.
  bool take(std::uint64_t sector) noexcept {
    if (sets_.empty()) return false;
    const std::uint64_t hash = mix64(~sector);
    Set& set = sets_[place(hash)];
    const auto found = std::find(set.begin(), set.end(), fingerprint(hash));
    if (found == set.end()) return false;
    std::copy(found + 1, set.end(), found);
    set.back() = 0;
    return true;
  }

  void clear() noexcept { std::fill(sets_.begin(), sets_.end(), Set{}); }
  std::size_t bytes() const noexcept { return sets_.size() * sizeof(Set); }

 private:
  using Set = std::array<std::uint16_t, kWays>;  // zero: nobody

  std::size_t place(std::uint64_t hash) const noexcept {
    return static_cast<std::size_t>((hash >> 32) * sets_.size() >> 32);
  }
  static std::uint16_t fingerprint(std::uint64_t hash) noexcept {
    return static_cast<std::uint16_t>(1 + (hash & 0xffff) % 0xffff);
  }

  std::vector<Set> sets_;
};

}  // namespace fairlead::disk
