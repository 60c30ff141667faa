// SPDX-License-Identifier: Apache-2.0
//
// Becoming a daemon: open what can fail first, then detach, then say ready.
//
//     starter ── fork ─► session leader ── fork ─► daemon      goes on after detach()
//        │                  ends                     │ opens the rest
//        │◄───────────── ready / failed / death ─────┘
//     exit 0: it serves.  exit 1: one line on stderr says why not.
//
// Thread-safety: detach() while the process has one thread.  Ownership: Readiness holds the line to
// the waiting starter; destroying it before ready() counts as failure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "daemon/notify.h"

namespace fairlead::daemon {

class Readiness {
 public:
  // The daemon serves.  Prints `announcement` (may be empty) on the starter's stdout, lets it exit
  // 0 (1 with a line on stderr if that cannot be written), and tells the service manager.  kClosed
  // if nobody waits any more (the starter was interrupted): then the daemon had better end.
  base::Status ready(std::string_view announcement);

  // It cannot start.  The starter prints "PROGRAM: MESSAGE" and exits 1.  Returns 1, for main.
  int failed(const base::Error& error);

  const Notifier& notifier() const noexcept { return notifier_; }

  Readiness(Readiness&&) noexcept = default;
  Readiness& operator=(Readiness&&) = delete;
  ~Readiness();

 private:
  friend base::Result<Readiness> detach(const struct DetachOptions& options);
  friend base::Result<Readiness> stay_in_foreground(std::string program);
  Readiness(std::string program, base::Fd starter, Notifier notifier) noexcept
      : program_(std::move(program)),
        starter_(std::move(starter)),
        notifier_(std::move(notifier)) {}

  std::string program_;
  base::Fd starter_;  // none: in the foreground
  Notifier notifier_;
};

// A session of its own is also a scheduling group of its own where the kernel groups by session
// (autogroup, sched(7)): then no yield of the daemon helps its clients, nor theirs it.  A daemon
// that shares its cores closely with clients stays in the session it was started from.
enum class Session : std::uint8_t { kOwn, kStarters };

struct DetachOptions {
  std::string program;   // for messages
  std::string log_path;  // absolute; stdout and stderr; 0600, emptied: hold the lock before
  std::span<const int> keep_fds = {};  // stay open; every other descriptor is closed
  Session session = Session::kOwn;
};

// Returns in the daemon only: of init's children, without a terminal, leading no session, cwd
// "/" (so every path must be absolute by now), umask 077, stdin /dev/null, no signal blocked,
// ignored or handled.  The starter never returns; it does not run destructors.  An Error comes
// back in the starter, before anything was changed.
base::Result<Readiness> detach(const DetachOptions& options);

// The same words for a daemon that stays: prints on its own stdout and stderr.
base::Result<Readiness> stay_in_foreground(std::string program);

}  // namespace fairlead::daemon
