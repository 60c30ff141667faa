// SPDX-License-Identifier: Apache-2.0
//
// How much memory there is to have, for limits that are set at a start.
//
// Thread-safety: pure functions over /proc.  An estimate: others take and give back meanwhile.
// Limit: what a control group allows is not asked.
#pragma once

#include <cstdint>

namespace fairlead::base {

// What this process can still get: what the system gives without swapping, or what is left of its
// own RLIMIT_AS, if that is less.
std::uint64_t memory_room_bytes();

}  // namespace fairlead::base
