// SPDX-License-Identifier: Apache-2.0
//
// What both ends of a stream have to agree on: how positions map to places, and what a record
// takes.
//
// Thread-safety: a value.  Sizes in bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fairlead/abi/relay.h"

namespace fairlead::relay {

// Constant for a stream; both ends have a private copy.
struct StreamShape {
  std::uint32_t stream = 0;
  std::uint32_t sub_buffer_shift = 0;
  std::uint32_t sub_buffers = 0;  // power of two
  std::uint32_t item_bytes = 0;   // 0: records with headers
  bool overwrite = false;

  std::uint64_t sub_buffer_bytes() const noexcept { return std::uint64_t{1} << sub_buffer_shift; }
  std::uint64_t capacity() const noexcept { return sub_buffer_bytes() * sub_buffers; }
  std::uint64_t place(std::uint64_t position) const noexcept { return position & (capacity() - 1); }
  std::uint64_t begin_of(std::uint64_t position) const noexcept {
    return position & ~(sub_buffer_bytes() - 1);
  }
};

inline constexpr std::uint64_t round_up_8(std::uint64_t bytes) noexcept {
  return (bytes + 7) & ~7u;
}

// What a record takes; items lie side by side, at whole words where both sides copy words.
inline std::uint64_t stride_of(const StreamShape& shape, std::size_t payload) noexcept {
  if (shape.item_bytes == 0) return round_up_8(sizeof(abi::RelayRecord) + payload);
  return shape.overwrite ? round_up_8(shape.item_bytes) : shape.item_bytes;
}

// The longest payload of a record.
inline std::size_t most_payload(const StreamShape& shape) noexcept {
  return shape.sub_buffer_bytes() - sizeof(abi::RelaySubBuffer) - sizeof(abi::RelayRecord);
}

}  // namespace fairlead::relay
