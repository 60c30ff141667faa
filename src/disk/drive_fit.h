// SPDX-License-Identifier: Apache-2.0
//
// Fits the figures of a drive to a trace: those that times alone can tell; all others stay as they
// are in the drive that is like it.
//
//     linear      rotation / 2, full stroke (and the time of a sector, if lengths differ) by robust
//                 regression over the distance; hit, the median of what the cache must have held
//     mechanical  rotation, seek_one, seek_average, seek_full; hit_overhead, write_settle and
//                 read_overhead, if the trace has enough to tell.  Geometry, skews and the other
//                 overheads stay (mechanical_fit.h)
//     rate        read, write, bytes_per_second, by robust regression
//
// Whether the drive has the cache of the one that is like it, or none, is told by the times.
//
// Thread-safety: pure functions; no chance in them.  Errors: kInvalid for less than kLeastFitted
// transfers that count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/result.h"
#include "disk/drive.h"
#include "disk/fit_error.h"
#include "disk/fit_trace.h"

namespace fairlead::disk {

inline constexpr std::size_t kLeastFitted = 100;
inline constexpr double kLeastCoherence = 0.3;  // less is none

struct DriveFit {
  DriveShape shape;
  std::size_t fitted = 0;     // transfers fitted to
  FitError error{};           // on those held out
  std::int64_t phase_ns = 0;  // mechanical: added to the trace's times, sectors pass by in phase
  double coherence = 0;       // mechanical: how well; 1 exactly, 0 not at all
};

base::Result<DriveFit> fit_drive(const FitTrace& trace, const DriveShape& like);

inline Transfer transfer_of(const FitTransfer& one) {
  return {.sector = one.sector, .sector_count = one.sector_count, .op = one.op};
}

// What a model says to the first `most` transfers of a trace, one after the other, begun when they
// were.
using FitVisit = std::function<void(std::size_t at, const Access& access, double service_ns)>;
void replay(const FitTrace& trace, DiskModel& model, std::size_t most, std::int64_t phase_ns,
            const FitVisit& visit);

// On the transfers that were held out.
FitError held_out_error(const FitTrace& trace, const DriveShape& shape, std::int64_t phase_ns);

}  // namespace fairlead::disk
