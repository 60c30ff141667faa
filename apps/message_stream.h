// SPDX-License-Identifier: Apache-2.0
//
// Messages of one size from a process to another, as many as will go: through a relay channel and
// through what one would take instead (document 003, slides 15-17).
//
//     relay    a channel of items, in the memory that both have mapped
//     pipe     write(2) and read(2), one call a message; as large a pipe as the channel
//     unix     a Unix stream socket, one send and one receive a message
//     tcp      the same over the loopback device
//     memcpy   copied in and copied out, and nothing else: a ring of messages, what memory can do
//
// The consumer is a forked child that ends with its parent: it looks at the number in each message,
// and measures.  Nothing may be missing: the relay's producer waits for room.
//
// Thread-safety: run_message_stream() from a process of one thread.  Units: bytes, nanoseconds.
// Errors: kInvalid for sizes out of bounds, kIo for a message that is missing or out of its turn.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::apps {

enum class Carrier : std::uint8_t { kRelay, kPipe, kUnix, kTcp, kMemcpy };

std::optional<Carrier> carrier_named(std::string_view name);
const char* name_of(Carrier carrier) noexcept;

inline constexpr std::uint32_t kLeastMessage = 8;  // it holds its number
inline constexpr std::uint32_t kMostMessage = 65'536;

struct MessageStreamPlan {
  Carrier carrier = Carrier::kRelay;
  std::uint32_t write_bytes = 64;
  // Asked for at once; 0: the relay gives what there is, the others get one message a call.
  std::uint32_t read_bytes = 0;
  std::uint64_t buffer_bytes = 524'288;  // of relay, pipe, memcpy; sockets size their own
  std::int64_t warm_up_ns = 200'000'000;
  std::int64_t duration_ns = 1'000'000'000;
  bool pin = false;  // each side to a core of its own
};

struct MessageStreamResult {
  std::uint64_t bytes = 0;
  std::uint64_t messages = 0;
  std::uint64_t reads = 0;  // that gave something
  std::int64_t wall_ns = 0;

  double messages_per_second() const noexcept {
    return static_cast<double>(messages) * 1e9 / static_cast<double>(wall_ns);
  }
  double bytes_per_second() const noexcept {
    return static_cast<double>(bytes) * 1e9 / static_cast<double>(wall_ns);
  }
};

base::Result<MessageStreamResult> run_message_stream(const MessageStreamPlan& plan);

// The sizes of the document's sweeps: 26, 64, 256 … 65536.
std::vector<std::uint32_t> message_stream_sizes();

}  // namespace fairlead::apps
