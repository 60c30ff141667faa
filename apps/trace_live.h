// SPDX-License-Identifier: Apache-2.0
//
// A trace while it happens: every interval the report of the last two, on a terminal in place.
// Two, so that an I/O that begins in one interval and ends in the next is not lost.
//
// Thread-safety: none.  Ownership: owns the sources; what they said is kept in memory and forgotten
// after two intervals.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "daemon/end_watch.h"
#include "trace/live_source.h"

namespace fairlead::apps {

struct LiveOptions {
  double interval_s = 1;
  std::uint64_t rounds = 0;  // 0: until a signal
  bool json = false;
};

// Until the rounds are over, the end is asked for, or all sources have ended.
base::Status trace_live(std::vector<std::unique_ptr<trace::LiveSource>> sources,
                        const LiveOptions& options, const daemon::EndWatch& end);

}  // namespace fairlead::apps
