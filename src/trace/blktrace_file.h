// SPDX-License-Identifier: Apache-2.0
//
// Traces as blktrace's files, version 7: what blkparse, btt, blkrawverify, iowatcher and fio read.
//
//     PREFIX.blktrace.0, PREFIX.blktrace.1, …     one set for all sources of a trace
//
//     blkparse -i PREFIX -d PREFIX.bin -O && btt -i PREFIX.bin
//
// What blktrace has no place for stands in notes (blktrace_note.h), and more of an event than the
// kernel tells behind its pdu (blktrace_format.h).  So a trace that was written comes back equal,
// from the set or from what blkparse -d made of it; only the order of events that happened in the
// same nanosecond in different files is not kept, nor that of losses.  Which numbers guests'
// devices and processes get is said in blktrace_layout.h, and in the first file.
//
// A loss stands in its place as a note, with as many sequence numbers left out as events are
// missing; a last note tells the sum.  blkparse counts numbers that are left out when it reads
// standard input, and passes over them in files; behind the last event of a file there are none.
//
// In files of others numbers that are left out are losses of the kernel's, time 0 is the first
// event, and request ids, which the kernel does not tell, are 0.
//
// Thread-safety: pure functions over the file system.  Times of the trace are in ns.
// Errors: kExists if there are files of such a set, kNotFound, kInvalid for a trace that names
// sources it does not have; kCorrupt with file and offset for what cannot be read, kUnsupported for
// another version or byte order, kLimit over kMostBlktraceBytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"
#include "trace/trace.h"

namespace fairlead::trace {

// After an error there are no files.  kNotify in an event's categories would make it none: that
// bit is dropped.
base::Status write_blktrace(const Trace& trace, const std::string& prefix);

// Of a set, of one file of a set, or of a file that blkparse -d wrote.  A file by that very name
// comes before a set.
base::Result<Trace> read_blktrace(const std::string& prefix);

inline constexpr std::size_t kMostBlktraceBytes = std::size_t{4} << 30;

struct BlktraceBytes {
  std::string name;  // for errors
  std::string bytes;
};

// A file that ends within a record makes a trace that is cut.
base::Result<Trace> parse_blktrace(std::span<const BlktraceBytes> files, const std::string& name);

}  // namespace fairlead::trace
