// SPDX-License-Identifier: Apache-2.0
//
// A segment that holds one ring: made by the back end, attached by the front end, with every field
// that the maker stated copied and checked before use.  Layout: abi/segment.h, abi/ring.h.
//
// Thread-safety: none needed; both are done before anybody shares the result.
// Ownership: RingMap is a view; the Segment must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "fairlead/abi/ring.h"
#include "shm/segment.h"

namespace fairlead::shm {

// Sizes in bytes; slot_count a power of two within abi's limits.
struct RingSizes {
  std::uint32_t slot_count = 0;
  std::uint32_t request_bytes = 0;
  std::uint32_t response_bytes = 0;
  std::uint32_t data_bytes = 0;  // of each slot, a multiple of 512
};

struct RingMap {
  RingSizes sizes;  // a private copy
  abi::RingControl* control = nullptr;
  std::byte* requests = nullptr;
  std::byte* responses = nullptr;
  std::byte* data = nullptr;
  abi::RingMark* marks = nullptr;

  std::byte* data_of(std::uint32_t slot) const noexcept {
    return data + std::size_t{slot} * sizes.data_bytes;
  }
};

// Nearest allowed sizes to what a peer asked for; never fails.
RingSizes clamp_sizes(RingSizes wanted, std::uint32_t max_slots, std::uint32_t max_data) noexcept;

std::uint64_t ring_segment_bytes(const RingSizes& sizes) noexcept;

base::Result<Segment> create_ring_segment(const char* label, const RingSizes& sizes,
                                          std::uint64_t generation);

// `expected` gives the entry sizes this side was built with; slot_count and data_bytes are read.
base::Result<RingMap> map_ring(const Segment& segment, std::uint64_t generation,
                               std::uint32_t request_bytes, std::uint32_t response_bytes);

}  // namespace fairlead::shm
