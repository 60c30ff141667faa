// SPDX-License-Identifier: Apache-2.0
//
// One file of a set of blktrace's, out of a trace: see blktrace_file.h.
//
// Thread-safety: none.  Errors: those of the output, told by it.
#pragma once

#include <cstddef>

#include "trace/blktrace_layout.h"
#include "trace/output_file.h"
#include "trace/trace.h"

namespace fairlead::trace {

// The file of part `number`; the first also holds what is said of the whole set.
void write_blktrace_part(const Trace& trace, const BlktraceLayout& layout, std::size_t number,
                         BufferedOutput& out);

}  // namespace fairlead::trace
