// SPDX-License-Identifier: Apache-2.0
//
// ShellCommand: the command that a host runs in this guest, by busybox's shell, and what it says.
//
//     agent ── fork ─► sh -c TEXT     a session of its own; input: none
//                      └── pipe: all that it says; read only as fast as the host takes it
//
// It has ended when the shell has: what that left running in the background is not waited for.
//
// Thread-safety: none; the agent's one thread.  Ownership: the child.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/fd.h"

namespace fairlead::guest {

class ShellCommand {
 public:
  // nullptr, and the answers come later; or what is wrong.  A port has one host at a time, so a
  // command that still runs is that of a host that has gone, and ends.
  const char* start(std::uint32_t id, std::string_view text);
  // Kills the shell and what is in its session still; nullptr, or what is wrong.
  const char* end();
  // What waitpid() said: whether it was the shell.
  bool took(pid_t pid, int status);

  int fd() const noexcept { return pipe_.get(); }  // readable: it says something; -1: nothing runs
  // The next line for the host, with its newline: its length; 0: none yet.  `size`: kLineBytes.
  std::size_t next_line(char* out, std::size_t size);

 private:
  void forget();

  std::uint32_t id_ = 0;  // whose answers these are; 0: nobody's
  pid_t child_ = 0;       // 0: it has ended
  int exit_ = 0;
  base::Fd pipe_;
};

}  // namespace fairlead::guest
