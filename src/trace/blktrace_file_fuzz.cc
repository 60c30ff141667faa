// SPDX-License-Identifier: Apache-2.0
//
// Bytes that claim to be blktrace's files, of one processor or two: a trace comes out, or one line
// that says where it is wrong.  A trace is in order and names no source that it does not have, and
// what is written of it comes back equal.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/fd.h"
#include "trace/blktrace_file.h"
#include "trace/blktrace_writer.h"
#include "trace/testing_difference.h"

namespace fairlead::trace {
namespace {

void check_trace(const Trace& trace) {
  FL_CHECK(std::ranges::is_sorted(trace.events, {}, &Event::time_ns));
  FL_CHECK(std::ranges::is_sorted(trace.losses, {}, &Loss::last_ns));
  const auto known = [&](const auto& what) { return what.source < trace.sources.size(); };
  FL_CHECK(std::ranges::all_of(trace.events, known) && std::ranges::all_of(trace.losses, known));
  FL_CHECK(std::ranges::all_of(trace.devices, known) && std::ranges::all_of(trace.names, known));
}

std::string written_part(const Trace& trace, const BlktraceLayout& layout, std::size_t number) {
  const base::Fd memory(::memfd_create("fuzz", MFD_CLOEXEC));
  FL_CHECK(memory.get() >= 0);
  BufferedOutput out(memory.get());
  write_blktrace_part(trace, layout, number, out);
  FL_CHECK(out.flush().has_value());
  std::string bytes(static_cast<std::size_t>(::lseek(memory.get(), 0, SEEK_CUR)), '\0');
  FL_CHECK(::pread(memory.get(), bytes.data(), bytes.size(), 0) ==
           static_cast<ssize_t>(bytes.size()));
  return bytes;
}

void check_round_trip(const Trace& trace) {
  const auto layout = BlktraceLayout::of(trace);
  if (!layout) return;  // too many majors, times too far apart
  std::vector<BlktraceBytes> files;
  files.reserve(layout->parts().size());
  for (std::size_t i = 0; i < layout->parts().size(); ++i) {
    files.push_back({"again", written_part(trace, *layout, i)});
  }
  const auto again = parse_blktrace(files, "again");
  FL_CHECK(again.has_value());
  FL_CHECK(difference(trace, *again, false).empty());
}

void check(std::string_view bytes) {
  const std::size_t half = bytes.empty() ? 0 : static_cast<unsigned char>(bytes[0]) * 48;
  if (!bytes.empty()) bytes.remove_prefix(1);
  const std::size_t middle = std::min(half, bytes.size());
  const BlktraceBytes files[] = {{"a", std::string(bytes.substr(0, middle))},
                                 {"b", std::string(bytes.substr(middle))}};
  const auto trace = parse_blktrace(files, "fuzz");
  if (!trace) {
    const std::string& message = trace.error().message();
    FL_CHECK(message.size() < 300 && message.find('\n') == std::string::npos);
    FL_CHECK(message.find(": at byte ") == 1);
    return;
  }
  check_trace(*trace);
  check_round_trip(*trace);
}

}  // namespace
}  // namespace fairlead::trace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fairlead::trace::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
