// SPDX-License-Identifier: Apache-2.0
//
// RequestTrace: requests as they came to a disk, and how long it took, where that is known.  Held
// whole: 56 bytes a request, kMostRequests at most.
//
// Thread-safety: plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "disk/request_story.h"

namespace fairlead::disk {

struct RecordedRequest {
  static constexpr std::int64_t kUnknown = -1;

  std::int64_t arrived_ns = 0;
  std::int64_t dispatched_ns = kUnknown;
  std::int64_t ended_ns = kUnknown;
  std::uint64_t sector = 0;
  std::uint64_t number = 0;  // of arrival
  std::uint32_t sector_count = 0;
  std::uint32_t owner = 0;  // the process
  std::uint32_t line = 0;   // of the file; 0: it has none
  IoOp op = IoOp::kRead;

  std::uint64_t end() const noexcept { return sector + sector_count; }
  bool served() const noexcept { return dispatched_ns != kUnknown && ended_ns != kUnknown; }
};

inline RecordedRequest recorded(const RequestStory& story) {
  return {.arrived_ns = story.arrived_ns,
          .dispatched_ns = story.dispatched_ns,
          .ended_ns = story.ended_ns,
          .sector = story.request.sector,
          .number = story.number,
          .sector_count = story.request.sector_count,
          .owner = story.request.owner,
          .op = story.request.op};
}

struct RequestTrace {
  static constexpr std::size_t kMostRequests = std::size_t{1} << 26;
  static constexpr std::uint32_t kMostOwners = 100'000;

  std::string name;                       // of the file, for errors
  std::vector<RecordedRequest> requests;  // in the order in which they arrived
  std::uint32_t owners = 1;               // numbers below

  // "trace.csv line 7", "trace request 12".
  std::string place(const RecordedRequest& request) const;
};

// What all traces are brought to: in order of number, times that never run backwards, owners below
// kMostOwners (larger numbers, as those of processes, are given out anew in order of appearance).
// kInvalid with the place and the remedy; an empty trace is an error.
base::Result<RequestTrace> in_order(RequestTrace trace);

// kInvalid with the place if a request ends past a disk of so many sectors.
base::Status fits(const RequestTrace& trace, std::uint64_t sectors, const std::string& drive);

}  // namespace fairlead::disk
