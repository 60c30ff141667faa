// SPDX-License-Identifier: Apache-2.0
//
// The end of a daemon, from outside: waits for the holder of a lock to end, then helps.
//
// Thread-safety: a free function; blocks at most the sum of the patience.
// Safety: signals go through a pidfd whose process was checked against the lock's text (pid and
// start time).  The text is its writer's word, so before a signal the process must also be of the
// user whose folder the lock is in, by all of its user ids, and have the lock's file open where
// that can be seen: root, who stops a service in a user's folder, hits nobody else's process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace fairlead::daemon {

enum class Ending : std::uint8_t {
  kNotRunning,  // nobody held the lock
  kDrained,     // ended by itself in time
  kTerminated,  // after SIGTERM
  kKilled,      // by SIGKILL
};
std::string_view name(Ending ending) noexcept;

struct Patience {
  std::int64_t drain_ns = 10 * base::kNanosPerSecond;     // then SIGTERM (and SIGCONT)
  std::int64_t terminate_ns = 5 * base::kNanosPerSecond;  // then SIGKILL
  std::int64_t kill_ns = 5 * base::kNanosPerSecond;       // then an error: kTimeout
};

// To be called after the daemon was asked to stop; ends it in any case, also one that is stopped by
// SIGSTOP.  On success its process is gone and the lock free.
// Errors: kDenied if it may not be signalled, or must not by the rule above; kTimeout; kBusy if a
// successor holds the lock again.
base::Result<Ending> await_end(const std::string& lock_path, const Patience& patience = {});

}  // namespace fairlead::daemon
