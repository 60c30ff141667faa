// SPDX-License-Identifier: Apache-2.0
//
// Traces in Chrome's trace event format, JSON: opens in Perfetto's user interface (ui.perfetto.dev)
// and in chrome://tracing.
//
//     process             a source
//       vda queue           one slice per request from Q to D
//       vda read            from D to C; write, flush, discard likewise
//       cpu 0 …             where requests enter and leave a source that are linked to another,
//                           with an arrow between; where events were lost
//
// A request is followed by its id (requests.h, RequestKey); where there is none, by device and
// sector, the first that waits before those behind it.  What waits when events of its source are
// lost, or when that source's clock jumps, is forgotten, and no slice touches such a gap: there is
// none that a loss could have made.  What has no end, or no beginning, is counted in otherData.
//
// Arrows: from a request's D to its Q in another source, and from a request to the remap that names
// its device and sector.
//
// Times are in µs, as the format wants; a ns is its thousandth.
//
// Thread-safety: a pure function.  Ownership: the descriptor is the caller's.
// Errors: of writing; kExists if there is such a file already.
// Source: "Trace Event Format", the Chromium project.
#pragma once

#include <string>

#include "base/result.h"
#include "trace/trace.h"

namespace fairlead::trace {

// To a file, a pipe or a terminal, in pieces, beginning with what `fd` has written before.
base::Status write_chrome_json(const Trace& trace, int fd);

// To a new file, of which nothing is left after an error, or to a pipe or terminal of that name.
base::Status write_chrome_file(const Trace& trace, const std::string& path);

}  // namespace fairlead::trace
