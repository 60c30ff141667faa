// SPDX-License-Identifier: Apache-2.0
//
// The memory of a channel: how large it is, how the producer lays it out, and how either side maps
// it, with every field that the other side could have written copied and checked before use.
// Layout: abi/segment.h and abi/relay.h.
//
// Thread-safety: none needed; all is done before anybody shares the result.
// Ownership: ChannelMap is a view; the memory must outlive it.  Sizes in bytes.
// Errors: kInvalid for options out of bounds, kCorrupt for memory that is no channel.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "fairlead/abi/relay.h"
#include "relay/platform.h"
#include "relay/stream_shape.h"
#include "shm/segment.h"

namespace fairlead::relay {

struct ChannelOptions {
  std::uint32_t streams = 8;                   // threads that write at once
  std::uint32_t sub_buffer_bytes = 64 * 1024;  // power of two
  std::uint32_t sub_buffers = 8;               // of each stream, power of two
  std::uint32_t item_bytes = 0;                // 0: records of any length, with headers
  bool overwrite = false;                      // full: give up the oldest, not the newest
  bool keep = false;                           // what is written before the first connection
};

using ChannelId = std::array<std::uint8_t, 16>;

struct ChannelMap {
  abi::RelayShape shape{};  // a private copy
  std::uint64_t bytes = 0;  // of all of it
  abi::RelayProducerPage* producer = nullptr;
  abi::RelayConsumerPage* consumer = nullptr;
  std::byte* streams = nullptr;

  StreamShape stream_shape(std::uint32_t stream) const noexcept;
  SharedMemory memory(std::uint32_t stream) const noexcept;
  ChannelId id() const noexcept;
};

base::Status check_options(const ChannelOptions& options);
std::uint64_t channel_bytes(const ChannelOptions& options) noexcept;

// Sealed, and laid out.
base::Result<shm::Segment> create_channel(const ChannelOptions& options);

// In memory of at least channel_bytes() that is zero: a card's, in a guest.  Makes a new id.
base::Result<ChannelMap> lay_out_channel(std::byte* at, std::uint64_t bytes,
                                         const ChannelOptions& options);

// What somebody else has laid out.
base::Result<ChannelMap> map_channel(std::byte* at, std::uint64_t bytes);

}  // namespace fairlead::relay
