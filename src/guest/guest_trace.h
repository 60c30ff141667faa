// SPDX-License-Identifier: Apache-2.0
//
// GuestTrace: the block events of a guest of the lab, as a source of a recording.  The guest's agent
// reads them from its kernel and writes them into its ivshmem card's memory, which is read here.
//
//     guest kernel ─ tracefs ─ agent ─ relay channel ┄ /dev/shm/… ┄ RelaySource ─► recording
//
// Thread-safety: the recorder's thread; finish() asks the agent from a thread of its own.
// Ownership: the mapping; tracing in the guest, which ends with the object.
// Errors: kNotFound for a guest that is not there, or without a card; kInvalid with the agent's
// words if it refuses; kTimeout if it does not answer.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "trace/live_source.h"

namespace fairlead::guest {

// `folder`: RUNTIME/lab.
base::Result<std::unique_ptr<trace::LiveSource>> trace_guest(const std::string& folder,
                                                             const std::string& name);

}  // namespace fairlead::guest
