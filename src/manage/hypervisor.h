// SPDX-License-Identifier: Apache-2.0
//
// Hypervisor: the two managers' only way to the world.  Behind it stand libvirt, a simulator, or a
// recording.
//
// Errors by kind, for all calls: kNotFound, the guest is gone, go on without it; kClosed, the
// connection is lost; kDenied, this connection may only read; kUnsupported, this guest cannot do
// it; kBusy, it is locked by somebody else for now; others as they come.
//
// Thread-safety: none; one thread calls.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "manage/sample.h"

namespace fairlead::manage {

class Hypervisor {
 public:
  virtual ~Hypervisor() = default;

  // Running and paused guests and the host, now.  A guest that vanishes meanwhile is left out.
  virtual base::Result<Sample> sample() = 0;

  // Lets the vCPU run on these processors only, at once and until the guest ends.  On none:
  // kInvalid if the guest runs, and nothing is changed.
  virtual base::Status pin(const std::string& uuid, std::uint32_t vcpu, const CpuSet& allowed) = 0;

  // Asks the guest's balloon driver for this size.  Success means that the wish was handed over:
  // the guest obeys later, in part, or not at all.
  virtual base::Status set_memory(const std::string& uuid, std::uint64_t bytes) = 0;

  // Has the guest report its memory statistics every so many seconds.
  virtual base::Status set_stats_period(const std::string& uuid, std::uint32_t seconds) = 0;
};

}  // namespace fairlead::manage
