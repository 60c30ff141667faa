// SPDX-License-Identifier: Apache-2.0
//
// GuestTrace: the block events of a guest of the lab, as a source of a recording.  The guest's
// agent reads them from its kernel and writes them into its ivshmem card's memory, which is read
// here; a guest without a card sends them through its second virtio-serial port.
//
//     guest kernel ─ tracefs ─ agent ─ relay channel ┄ /dev/shm/… ┄ RelaySource ─► recording
//                                   └─ port ┄ NAME.port ┄ PortSource ───────────►
//
// A recorder that was killed has left the guest tracing: this ends that, and begins anew.
//
// Thread-safety: the recorder's thread; finish() asks the agent from a thread of its own.
// Ownership: the mapping or the socket; tracing in the guest, which ends with the object; a lock,
// NAME.lock.
// Errors: kNotFound for a guest that is not there, or has neither card nor port; kBusy with the
// number of the process that records it; kInvalid with the agent's words if it refuses; kTimeout if
// it does not answer.
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
