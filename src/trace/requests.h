// SPDX-License-Identifier: Apache-2.0
//
// Requests: what a trace's events tell of each device's bios and requests.  A bio is what was asked
// for (Q); a request is what went to the device (D) and came back (C), and carries one bio or,
// after merges, several.
//
// A loss, or a step of the source's clock, ends what is open: nothing opened before such a gap's
// end pairs with anything after its beginning.  What was open is counted as `unknown`.
//
// Thread-safety: pure functions.  Times in nanoseconds, of the trace.
// Source: the kernel's block layer events, linux/blktrace_api.h.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "trace/trace.h"

namespace fairlead::trace {

inline constexpr std::int64_t kNever = kEarliest;
inline constexpr std::uint32_t kNoRequest = 0xffff'ffff;

// By what an event finds the request that it belongs to, on its device: by id and queue where there
// is an id, else by sector.
struct RequestKey {
  std::uint64_t number = 0;
  std::uint32_t owner = 0;  // the queue + 1; 0: `number` is a sector

  bool by_id() const noexcept { return owner != 0; }
  auto operator<=>(const RequestKey&) const = default;
};

RequestKey request_key(std::uint64_t id, std::uint16_t queue, std::uint64_t sector) noexcept;

struct Bio {
  std::int64_t queue_ns = kNever;
  std::uint64_t sector = 0;
  std::uint32_t sectors = 0;
  std::uint32_t pid = 0;
  std::uint32_t request = kNoRequest;  // index in Requests::requests
};

struct Request {
  std::int64_t issue_ns = kNever;  // the last time, if it was requeued; kNever: no device was asked
  std::int64_t complete_ns = kNever;
  std::uint64_t sector = 0;
  std::uint64_t id = 0;  // of the ring; 0: none
  std::uint32_t sectors = 0;
  std::uint32_t first_bio = 0;  // of `bios` in Requests::bios
  std::uint32_t bios = 0;
  std::uint16_t queue = 0;
  std::uint16_t error = 0;
  bool writes = false;
};

struct DeviceRequests {
  std::uint16_t source = 0;
  std::uint32_t device = 0;
  std::vector<Request> requests;  // complete ones, in order of completion
  std::vector<Bio> bios;          // of those, a request's beside each other, by sector

  // Counts of events, whatever became of them.
  std::uint64_t queued = 0;
  std::uint64_t issued = 0;
  std::uint64_t completed = 0;
  std::uint64_t back_merges = 0;
  std::uint64_t front_merges = 0;
  std::uint64_t merged_sectors = 0;
  std::uint64_t splits = 0;
  std::uint64_t requeues = 0;

  // What did not come to a complete request.
  std::uint64_t unknown = 0;    // open across a loss or a step of the clock
  std::uint64_t strange = 0;    // completions of what was never issued
  std::uint64_t open_bios = 0;  // at the trace's end
  std::uint64_t open_requests = 0;
};

// One for each device that has events, in order of source and number.
std::vector<DeviceRequests> find_requests(const Trace& trace);

// Of one source: the spans in which events are missing or times are not to be trusted, merged and
// in order.
std::vector<Span> gaps(const Trace& trace, std::uint16_t source);

// Whether [from, to] touches one of them.
bool crosses(std::span<const Span> gaps, std::int64_t from_ns, std::int64_t to_ns) noexcept;

}  // namespace fairlead::trace
