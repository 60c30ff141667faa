// SPDX-License-Identifier: Apache-2.0
//
// AgentClient: the host's end of a guest's agent (agent_protocol.h).
//
// Thread-safety: none; one client at a time is served by QEMU, others wait in line.
// Errors: kTimeout if the agent does not answer in time (the guest boots, hangs, or is paused),
// kInvalid with the agent's own words if it refuses, kClosed if stop_fd (-1: none) became readable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "guest/agent_protocol.h"

namespace fairlead::guest {

// The socket behind a guest's virtio-serial port.
base::Result<base::Fd> connect_to_port(const std::string& socket_path);

class AgentClient {
 public:
  static base::Result<AgentClient> connect(const std::string& socket_path);

  // Sends "ID words" and returns what stands behind "ok".
  base::Result<std::string> ask(std::string_view words, std::int64_t timeout_ns, int stop_fd = -1);
  base::Result<Report> report(std::int64_t timeout_ns, int stop_fd = -1);

 private:
  explicit AgentClient(base::Fd socket);

  base::Fd socket_;
  LineBuffer lines_;
  std::uint32_t id_;
};

}  // namespace fairlead::guest
