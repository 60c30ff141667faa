// SPDX-License-Identifier: Apache-2.0
//
// TracedCommand: what is run while it is recorded, as if its user had run it: with the signals as
// they were before this program took them.  It does not outlive the recording: what still runs is
// asked to end, and killed if it has not two seconds later.
//
// Thread-safety: none.  Ownership: the child.  Errors: of starting it, with its name.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace fairlead::apps {

class TracedCommand {
 public:
  static base::Result<TracedCommand> start(const std::vector<std::string>& words);
  TracedCommand(TracedCommand&& other) noexcept
      : child_(std::exchange(other.child_, 0)), status_(other.status_) {}
  TracedCommand& operator=(TracedCommand&&) = delete;
  ~TracedCommand() { end(); }

  bool ended() noexcept;
  void end() noexcept;
  int code() const noexcept;  // once it has ended; 128 + N: signal N ended it

 private:
  explicit TracedCommand(pid_t child) noexcept : child_(child) {}

  pid_t child_;  // 0: it has ended
  int status_ = 0;
};

}  // namespace fairlead::apps
