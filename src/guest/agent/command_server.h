// SPDX-License-Identifier: Apache-2.0
//
// The process that runs the host's commands (`lab run`), beside the agent: it has a port of its
// own, so that a host that waits for a long command keeps nobody from asking the agent.
//
//     agent, pid 1 ── fork ─► command server ── fork ─► sh -c TEXT      (shell_command.h)
//                             └── virtio-serial port kCommandPort: the words run, end, ping
//
// Thread-safety: none; the agent's one thread starts it.
#pragma once

#include <sys/types.h>

namespace fairlead::guest {

// The child; 0 if none could be started.
pid_t start_command_server();

}  // namespace fairlead::guest
