// SPDX-License-Identifier: Apache-2.0
//
// Traces as folders in the Common Trace Format 1.8 (diamon.org/ctf): what babeltrace2, LTTng's
// tools and Trace Compass read.
//
//     FOLDER/metadata            the layout of all that follows, in TSDL
//     FOLDER/stream_S_N          stream N of source S
//
// An event is block_queue, block_issue, … (block_other for acts without a name) with the fields
// action (blktrace's letter), flags (as blkparse prints them), categories, device, device_name,
// sector, bytes, error, pid, process, request, aux, cpu, queue, vm; its packet says source and
// stream_number.
//
// A loss is a packet without events, whose events_discarded is greater by what was lost: so each is
// reported by itself, with the times between which it was, also behind the last event and where
// there are no events at all.
//
// The clock counts ns from the earliest time; its offset is when that was by the wall clock.
//
// Thread-safety: a pure function over the file system.
// Errors: kExists if there is such a folder; kInvalid if the trace names sources that it does not
// have.  After an error there is no folder.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "trace/trace.h"

namespace fairlead::trace {

base::Status write_ctf(const Trace& trace, const std::string& folder);

// No packet is longer, except for one event that is.
inline constexpr std::size_t kCtfPacketBytes = 65536;

}  // namespace fairlead::trace
