// SPDX-License-Identifier: Apache-2.0
//
// FitTrace: what a trace tells of how long a disk takes: transfers, each with its beginning and its
// end.  Requests that went out and came back together, next to each other, are one transfer.
//
//     alone     nothing else was in flight: its time is the disk's, whatever the disk does
//     in line   the disk serves first come, first served: a transfer begins when the one before it
//               has ended.  True of the models here, not of a drive with a queue of its own.
//
// What does not count is given to a model all the same, which has to know where its head is.
//
// Thread-safety: plain data; pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "disk/request_trace.h"

namespace fairlead::disk {

enum class FitQueue : std::uint8_t { kAlone, kInLine };

struct FitTransfer {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::uint64_t sector = 0;
  std::uint32_t sector_count = 0;
  IoOp op = IoOp::kRead;
  bool counts = false;

  double service_ns() const noexcept { return static_cast<double>(end_ns - begin_ns); }
};

struct FitTrace {
  std::vector<FitTransfer> transfers;  // in the order in which they began
  std::uint64_t untimed = 0;           // requests without dispatch or end
  std::uint64_t crowded = 0;           // transfers with others in flight; out of line
  std::size_t counted = 0;             // those that count
  std::size_t held_out_from = 0;       // transfers from this on are not fitted to, but tested on

  bool trains(std::size_t at) const noexcept { return at < held_out_from && transfers[at].counts; }
  bool tests(std::size_t at) const noexcept { return at >= held_out_from && transfers[at].counts; }
};

// The last third of those that count is held out.
FitTrace fit_trace(const RequestTrace& trace, FitQueue queue);

// With half of what is fitted to, in stretches of 100 transfers: of each two one, by chance.
FitTrace half_of(FitTrace trace, base::Random& random);

}  // namespace fairlead::disk
