// SPDX-License-Identifier: Apache-2.0
//
// CountSet<N>: how many there are of each number in [0, N), with the least and the greatest present
// in O(1): a bit for each number, a bit for each word of bits.  N ≤ 4096.
//
// Thread-safety: none.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace fairlead::disk {

template <std::uint32_t kValues>
class CountSet {
  static_assert(kValues <= 64 * 64);

 public:
  bool empty() const noexcept { return words_ == 0; }

  void add(std::uint32_t value) noexcept {
    ++counts_[value];
    bits_[value / 64] |= std::uint64_t{1} << value % 64;
    words_ |= std::uint64_t{1} << value / 64;
  }

  // The value must be present.
  void drop(std::uint32_t value) noexcept {
    if (--counts_[value] != 0) return;
    bits_[value / 64] &= ~(std::uint64_t{1} << value % 64);
    if (bits_[value / 64] == 0) words_ &= ~(std::uint64_t{1} << value / 64);
  }

  // Both of a set that is not empty.
  std::uint32_t least() const noexcept {
    const auto word = static_cast<std::uint32_t>(std::countr_zero(words_));
    return word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits_[word]));
  }
  std::uint32_t greatest() const noexcept {
    const auto word = static_cast<std::uint32_t>(std::bit_width(words_)) - 1;
    return word * 64 + static_cast<std::uint32_t>(std::bit_width(bits_[word])) - 1;
  }

 private:
  std::array<std::uint32_t, kValues> counts_{};
  std::array<std::uint64_t, (kValues + 63) / 64> bits_{};
  std::uint64_t words_ = 0;
};

}  // namespace fairlead::disk
