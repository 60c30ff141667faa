// SPDX-License-Identifier: Apache-2.0
#include "guest/agent/command_server.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "guest/agent/host_port.h"
#include "guest/agent/shell_command.h"
#include "guest/agent/system.h"
#include "guest/agent_protocol.h"

namespace fairlead::guest {
namespace {

constexpr std::int64_t kPortPatienceNs = 5'000'000'000;
constexpr std::uint64_t kYoungMs = 300;
constexpr int kLinesAtOnce = 16;  // of a command that says much: the port and signals wait

class CommandServer {
 public:
  [[noreturn]] void run();

 private:
  void obey(std::string_view line);
  const char* start(std::uint32_t id, std::string_view text);
  void answer_command();
  void host_went();
  void end_orphan();
  void heed_signals();
  int wait_ms() const;

  HostPort port_;
  ShellCommand command_;
  int signals_ = -1;
  bool says_more_ = false;        // the command, for all that we know
  bool orphan_ = false;           // its host has gone, and it may be the next one's
  std::uint64_t command_ms_ = 0;  // when the last command began
};

void CommandServer::obey(std::string_view line) {
  const auto request = parse_request(line);
  if (!request) return port_.answer(0, "what? run, end, ping");
  switch (request->verb) {
    case Verb::kPing: return port_.answer(request->id, nullptr);
    case Verb::kEnd: return port_.answer(request->id, command_.end());
    case Verb::kRun:
      if (const char* wrong = start(request->id, request->arguments)) {
        port_.answer(request->id, wrong);
      }
      return;
    default: return port_.answer(request->id, "this port is for commands: run, end, ping");
  }
}

// nullptr: the answers come later.
const char* CommandServer::start(std::uint32_t id, std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  command_ms_ = uptime_ms();
  return command_.start(id, text);
}

// As much as the host has taken the answers of.
void CommandServer::answer_command() {
  char line[kLineBytes];
  says_more_ = false;
  for (int i = 0; i < kLinesAtOnce && port_.sent(); ++i) {
    const std::size_t size = command_.next_line(line, sizeof line);
    if (size == 0) return;
    port_.send(line, size);
  }
  says_more_ = port_.sent();
}

// A host that goes takes its command with it.  A young command not at once: what the next host asks
// can be here before the news that it is.
void CommandServer::host_went() {
  orphan_ = port_.gone_ms() < command_ms_ + kYoungMs;
  if (!orphan_) command_.end();
}

void CommandServer::end_orphan() {
  if (port_.is_there()) orphan_ = false;
  if (!orphan_ || uptime_ms() < port_.gone_ms() + kYoungMs) return;
  orphan_ = false;
  command_.end();
}

void CommandServer::heed_signals() {
  signalfd_siginfo info;
  while (::read(signals_, &info, sizeof info) > 0) {
    if (info.ssi_signo == SIGIO) port_.came();
  }
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) command_.took(pid, status);
}

int CommandServer::wait_ms() const {
  if (says_more_) return 0;
  if (!orphan_) return -1;
  const std::uint64_t now = uptime_ms();
  const std::uint64_t end = port_.gone_ms() + kYoungMs;
  return end <= now ? 0 : static_cast<int>(end - now);
}

void CommandServer::run() {
  signals_ = open_signals();
  port_.open(kCommandPort, kPortPatienceNs);
  while (true) {
    const int port = port_.poll_fd();
    pollfd files[] = {{signals_, POLLIN, 0},
                      {port, port_.wanted(), 0},
                      {port_.sent() ? command_.fd() : -1, POLLIN, 0}};
    ::poll(files, std::size(files), wait_ms());
    if (files[0].revents != 0) heed_signals();
    if (files[1].revents != 0) {
      port_.serve(files[1].revents, [this](std::string_view line) { obey(line); });
      if (!port_.is_there()) host_went();
    }
    answer_command();
    end_orphan();
  }
}

}  // namespace

pid_t start_command_server() {
  const pid_t child = ::fork();
  if (child != 0) return std::max<pid_t>(child, 0);
  ::prctl(PR_SET_NAME, "fairlead-run");
  static CommandServer server;
  server.run();
}

}  // namespace fairlead::guest
