// SPDX-License-Identifier: Apache-2.0
//
// How a trace of several sources becomes one set of blktrace's files, for which there is but one
// host: numbers under which the tools see devices and processes, and what stands in which file.
//
// The host, or the first source if none is one, keeps its numbers.  Any other source's devices get
// majors of their own from 512, where Linux has no block devices; its processes are counted from
// 10'000'000, 20'000'000 …, above any that Linux has.
//
// A file is what one processor saw of one device: so blkrawverify finds each in order, and blkparse
// a sequence without holes.  Files have no gaps in their numbers, where the tools stop looking.
//
// Thread-safety: constant after construction.  Ownership: refers to the trace, which outlives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "trace/trace.h"

namespace fairlead::trace {

struct BlktracePart {
  std::uint16_t source = 0;
  std::uint16_t stream = 0;
  std::uint32_t device = 0;
  std::vector<std::size_t> events;  // in Trace::events
  std::vector<std::size_t> losses;  // in Trace::losses; each is in one part of its stream
};

class BlktraceLayout {
 public:
  // kInvalid if a source is missing or times are too far apart, kLimit if majors run out.
  static base::Result<BlktraceLayout> of(const Trace& trace);

  const std::vector<BlktracePart>& parts() const noexcept { return parts_; }  // at least one
  // Of each source's devices, also those that only a remap names.
  const std::map<std::pair<std::uint16_t, std::uint32_t>, std::uint32_t>& devices() const noexcept {
    return devices_;
  }

  std::uint32_t shown_device(std::uint16_t source, std::uint32_t device) const {
    return devices_.at({source, device});
  }
  // Of the device that a remap came from: its source's; if that has none of this number, a guest's,
  // of which it is the host.
  std::uint32_t shown_origin(std::uint16_t source, std::uint32_t device) const;
  std::uint32_t pids_from(std::uint16_t source) const noexcept;
  // What is added to times, of which none may be below zero.
  std::int64_t zero_ns() const noexcept { return zero_ns_; }
  std::int64_t end_ns() const noexcept { return end_ns_; }  // of the last that happened

 private:
  explicit BlktraceLayout(const Trace& trace) : trace_(&trace) {}

  base::Status check_sources() const;
  void choose_host();
  void list_devices();
  base::Status number_devices();
  const std::uint32_t* shown_guest(std::uint32_t device) const;  // null: no guest has it
  void make_parts();
  void place_losses();
  base::Status look_at_times();

  const Trace* trace_;
  std::uint16_t host_ = 0;
  std::vector<BlktracePart> parts_;
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::uint32_t> devices_;
  std::int64_t zero_ns_ = 0;
  std::int64_t end_ns_ = 0;
};

}  // namespace fairlead::trace
