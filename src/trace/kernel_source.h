// SPDX-License-Identifier: Apache-2.0
//
// KernelSource: block events of the running kernel, through tracefs.  The same source on a host
// (6.18) and inside a guest (6.1), where it has no exceptions and no RTTI.
//
//     auto source = KernelSource::open({.devices = {*device_number("/dev/loop0")}});
//     while (wanted) { source->drain(sink); pause some milliseconds; }
//     source->close(sink);          // the rest, the last losses; nothing stays behind
//
// It has an instance of its own (trace_instance.h), which ends with the object.  A program ended by
// a signal has to let the object end; what SIGKILL leaves, the next open() removes.
//
// Losses come to the sink in their places, by processor: the buffer's as kKernel, what could not
// be read as kCorrupt.  Read and lost add up to what happened.  Events of one processor come in
// order, those of several do not.
//
// Stamps are of the time stamp counter where the kernel has the clock x86-tsc, else nanoseconds of
// CLOCK_MONOTONIC_RAW: clock() says which.
//
// Thread-safety: one thread.  Ownership: instance and descriptors; the sink is the caller's.
// Errors: those of TraceInstance; kNotFound where tracefs is not mounted, or for a kernel without
// Q, D or C; kUnsupported for one whose records or pages have another shape; kLimit for too many
// devices.
// Source: Linux, Documentation/trace/ftrace.rst, events.rst.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "fairlead/abi/relay.h"
#include "fairlead/abi/trace.h"
#include "trace/block_decoder.h"
#include "trace/cpu_stream.h"
#include "trace/event_sink.h"
#include "trace/name_book.h"
#include "trace/ring_page.h"
#include "trace/trace_instance.h"

namespace fairlead::trace {

inline constexpr std::size_t kMostFilteredDevices = 32;

struct KernelOptions {
  std::string tracefs = "/sys/kernel/tracing";
  std::string sysfs = "/sys";
  std::vector<std::uint32_t> devices = {};  // major << 20 | minor; none: all
  std::uint32_t buffer_kib = 1024;          // of each processor
};

class KernelSource {
 public:
  static base::Result<KernelSource> open(const KernelOptions& options);
  KernelSource(KernelSource&&) noexcept = default;

  // Gives the sink what is there now, at most what the buffers hold; the number of events.
  base::Result<std::uint64_t> drain(EventSink& sink);

  // Stops tracing, gives the rest, removes the instance.  Then only the sums may be asked for.
  base::Status close(EventSink& sink);

  abi::RelayClock clock() const noexcept { return clock_; }
  std::uint64_t events() const noexcept;
  std::uint64_t lost() const noexcept;        // by the kernel
  std::uint64_t unreadable() const noexcept;  // events, or ends of pages

 private:
  struct Processor {
    base::Fd raw;
    CpuStream stream;
  };

  KernelSource(TraceInstance instance, const KernelOptions& options);
  base::Status set_up(const KernelOptions& options);
  base::Status set_clock();
  base::Status add_events(const KernelOptions& options);
  base::Status open_processors();
  base::Result<bool> read_page(Processor& one, EventSink& sink);
  base::Result<std::uint64_t> lost_of(const Processor& one) const;

  // The instance outlives the descriptors, else it could not be removed.
  TraceInstance instance_;
  std::string sysfs_;
  PageShape shape_;
  abi::RelayClock clock_ = abi::RelayClock::kTsc;
  std::unique_ptr<BlockDecoder> decoder_;  // its address stays when this moves
  std::vector<Processor> processors_;
  std::vector<std::byte> page_;
  NameBook names_;
  std::vector<std::uint32_t> devices_;  // that the sink knows
  std::uint64_t most_pages_ = 0;        // of one processor in one drain()
};

// Of a block device's node, as the kernel has it; kInvalid for what is none.
base::Result<std::uint32_t> device_number(const std::string& path);

// The kernel's expression for these devices; "0" for none: no filter.
std::string filter_of(const std::vector<std::uint32_t>& devices, bool also_old);

}  // namespace fairlead::trace
