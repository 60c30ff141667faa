// SPDX-License-Identifier: Apache-2.0
//
// Traces of disk requests from files: CSV (disk/request_csv.h), blktrace's, and recordings of
// `fairlead trace`, told apart by their first bytes.
//
// Of a trace of a kernel, a request is what was asked for (Q); its service is that of the request
// which carried it (D to C), where there is one.  It must be of one device.
//
// Thread-safety: pure functions over the file system.  A CSV is read in pieces; a kernel's trace is
// in memory while it is reduced.  Errors: one line with the file, the place in it and the remedy.
#pragma once

#include <string>

#include "base/result.h"
#include "disk/request_trace.h"
#include "trace/trace.h"

namespace fairlead::apps {

base::Result<disk::RequestTrace> read_requests(const std::string& path);

base::Result<disk::RequestTrace> requests_of(const trace::Trace& trace, const std::string& name);

}  // namespace fairlead::apps
