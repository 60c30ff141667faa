// SPDX-License-Identifier: Apache-2.0
//
// AgentClient: the host's end of a guest's agent (agent_protocol.h).
//
// Thread-safety: none; one client at a time is served by QEMU, others wait in line.
// Errors: kTimeout if the agent does not answer in time (the guest boots, hangs, or is paused),
// kInvalid with the agent's own words if it refuses, kClosed if stop_fd (-1: none) became readable.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "guest/agent_protocol.h"

namespace fairlead::guest {

// The socket behind a guest's virtio-serial port.
base::Result<base::Fd> connect_to_port(const std::string& socket_path);
// Whether there is still a QEMU behind it, busy or not.  Does not wait.
bool port_is_served(const std::string& socket_path);

class AgentClient {
 public:
  static base::Result<AgentClient> connect(const std::string& socket_path);

  // Sends "ID words" and returns what stands behind "ok".
  base::Result<std::string> ask(std::string_view words, std::int64_t timeout_ns, int stop_fd = -1);
  // Runs a command by the guest's shell until it ends; its status.  Once stop_fd is readable, or
  // nobody wants its output, the command is killed, and its status is that of a kill.
  using OnOutput = std::function<bool(std::string_view bytes)>;  // false: no more
  base::Result<int> run(std::string_view command, const OnOutput& on_output, int stop_fd = -1);
  base::Result<Report> report(std::int64_t timeout_ns, int stop_fd = -1);

 private:
  explicit AgentClient(base::Fd socket);
  base::Result<std::uint32_t> send(std::string_view words);
  base::Result<Answer> next_answer(std::uint32_t id, std::int64_t end_ns, int stop_fd);

  base::Fd socket_;
  std::array<char, kLineBytes> bytes_{};  // that came; from from_ on not yet in lines_
  std::size_t from_ = 0;
  std::size_t until_ = 0;
  LineBuffer lines_;
  std::uint32_t id_;
};

}  // namespace fairlead::guest
