// SPDX-License-Identifier: Apache-2.0
//
// Trace: a recording in memory, as every reader makes it and every writer takes it.
//
// Times are nanoseconds since the beginning of the trace by this host's clock.  An event of another
// clock (a guest's) has been corrected; how far its time may be off says its source's bound.
//
// Thread-safety: plain data.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "fairlead/abi/trace.h"

namespace fairlead::trace {

inline constexpr std::uint32_t kSectorBytes = 512;

struct Event {
  std::int64_t time_ns = 0;
  std::uint16_t source = 0;  // index in Trace::sources
  std::uint16_t stream = 0;  // of its source: a processor, or a thread's stream
  abi::BlockEvent block{};

  abi::BlockAct act() const noexcept { return abi::BlockAct(block.action & 0xffff); }
  bool has(abi::BlockCategory category) const noexcept {
    return ((block.action >> (16 + unsigned(category))) & 1) != 0;
  }
  // Discards and flushes are neither.
  bool writes() const noexcept { return has(abi::BlockCategory::kWrite); }
};

inline constexpr std::int64_t kEarliest = std::numeric_limits<std::int64_t>::min() / 4;
inline constexpr std::int64_t kLatest = std::numeric_limits<std::int64_t>::max() / 4;

// Events that are missing, and where: from `first_ns` to `last_ns`; the trace's ends where it is
// not known.
struct Loss {
  std::int64_t first_ns = 0;
  std::int64_t last_ns = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;  // 0: not known
  std::uint16_t source = 0;
  std::uint16_t stream = 0;
  abi::TraceLossCause cause{};
};

enum class SourceKind : std::uint8_t { kHost = 1, kGuest = 2, kService = 3, kFile = 4 };

// From `from_ns` to `to_ns`.
struct Span {
  std::int64_t from_ns = 0;
  std::int64_t to_ns = 0;
};

struct Source {
  SourceKind kind = SourceKind::kHost;
  std::string name;           // "host", the guest's, the service's
  std::int64_t bound_ns = 0;  // its times are this near to the host's; the worst of the trace
  bool clock_known = true;    // else they cannot be compared with those of others
  std::vector<Span> steps;    // where its clock jumped: nothing pairs across
};

struct Device {
  std::uint16_t source = 0;
  std::uint32_t device = 0;  // major << 20 | minor
  std::string name;
};

struct ProcessName {
  std::uint16_t source = 0;
  std::uint32_t pid = 0;
  std::string name;
};

// The sum of losses: a guest may say that it has lost any number, so it stops at the greatest.
constexpr std::uint64_t with_lost(std::uint64_t sum, std::uint64_t records) noexcept {
  return sum > UINT64_MAX - records ? UINT64_MAX : sum + records;
}

struct Trace {
  std::int64_t wall_start_ns = 0;  // CLOCK_REALTIME at time 0
  std::vector<Source> sources;
  std::vector<Device> devices;
  std::vector<ProcessName> names;
  std::vector<Event> events;  // by time; of one time as they were read
  std::vector<Loss> losses;   // by last_ns
  bool cut = false;           // the recorder did not end it

  std::uint64_t lost() const noexcept {
    std::uint64_t sum = 0;
    for (const Loss& loss : losses) sum = with_lost(sum, loss.records);
    return sum;
  }
};

}  // namespace fairlead::trace
