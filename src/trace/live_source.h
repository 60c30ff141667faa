// SPDX-License-Identifier: Apache-2.0
//
// LiveSource: something that traces while it happens, polled by who records it.
//
// Thread-safety: the recorder's thread.
#pragma once

#include "base/result.h"
#include "trace/trace_file.h"

namespace fairlead::trace {

class LiveSource {
 public:
  LiveSource() = default;
  LiveSource(const LiveSource&) = delete;
  LiveSource& operator=(const LiveSource&) = delete;
  virtual ~LiveSource() = default;

  // Says to `file` who it is; before anything else.
  virtual void introduce(TraceFileWriter& file) = 0;
  // Writes down what there is.  False: its end has come, there will be nothing more.
  virtual base::Result<bool> poll(TraceFileWriter& file) = 0;
  // The recording ends: no new events from here on; what is left is written down.
  virtual base::Status finish(TraceFileWriter& file) = 0;
};

}  // namespace fairlead::trace
