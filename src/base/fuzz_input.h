// SPDX-License-Identifier: Apache-2.0
//
// A fuzzer's input as a supply of values; zeros once it is used up, so that every input means
// something.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace fairlead::base {

class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size) : left_(data, size) {}

  bool empty() const { return left_.empty(); }
  std::size_t size() const { return left_.size(); }
  std::uint8_t byte() { return take<std::uint8_t>(); }

  template <typename T>
  T take() {
    T value{};
    const std::size_t bytes = std::min(sizeof value, left_.size());
    if (bytes != 0) std::memcpy(&value, left_.data(), bytes);
    left_ = left_.subspan(bytes);
    return value;
  }

  // Overwrites places of `honest`: offset (2 bytes), count (1 byte, up to 8), bytes.
  void patch(std::span<std::byte> honest) {
    while (!empty() && !honest.empty()) {
      const std::size_t at = take<std::uint16_t>() % honest.size();
      const std::size_t count = std::min<std::size_t>(byte() % 8 + 1, honest.size() - at);
      for (std::size_t i = 0; i < count; ++i) honest[at + i] = std::byte{byte()};
    }
  }

 private:
  std::span<const std::uint8_t> left_;
};

}  // namespace fairlead::base
