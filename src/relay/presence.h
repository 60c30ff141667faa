// SPDX-License-Identifier: Apache-2.0
//
// Who is at a channel, told by the kernel: each side locks a byte of the memory's own inode through
// a file description of its own.  The lock ends with the last process that has the description,
// however it ends; no heartbeat, and no process number that somebody else may have by now.
//
// Thread-safety: none; counts from any thread.  Ownership: the caller holds the side by the
// descriptor.
// Source: fcntl(2), "Open file description locks".
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::relay {

enum class Side : int { kProducer = 0, kConsumer = 1 };  // also the byte that it locks

// Becomes this side, until the result is closed.  A description that is also mapped would keep its
// lock until it is unmapped, in a forked child too: so it is one of its own.  kBusy, counted, if
// somebody else is this side.
base::Result<base::Fd> take_side(int memory, Side side);

// Whether a side is taken, as seen through a description that has not taken it.
bool is_taken(const base::Fd& other, Side side) noexcept;

// Calls of this process that found no channel, or the place in it taken: a wrong order that has no
// object which could count it.
std::uint64_t refused_calls() noexcept;
base::Error refused(base::Error error) noexcept;  // counts one, and gives it back

}  // namespace fairlead::relay
