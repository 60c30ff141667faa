// SPDX-License-Identifier: Apache-2.0
//
// ProcessId: a pid together with the moment its process started, so that a pid which the kernel
// gave to another process meanwhile is not taken for the old one.
//
// Thread-safety: a value.  Limit: pids of another pid namespace mean nothing here; they fail
// open().
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::daemon {

struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat, proc(5)

  static base::Result<ProcessId> self();
  static base::Result<ProcessId> of(pid_t pid);  // a child that has not been waited for

  // "PID TICKS"; nullopt for anything else.
  std::string text() const;
  static std::optional<ProcessId> parse(std::string_view text);

  // A pidfd of this very process; kNotFound if it is gone.  Readable (poll) once it has ended.
  base::Result<base::Fd> open() const;

  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

}  // namespace fairlead::daemon
