// SPDX-License-Identifier: Apache-2.0
#include "guest/agent/shell_command.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "guest/agent_protocol.h"

namespace fairlead::guest {
namespace {

constexpr std::size_t kMostTextBytes = kLineBytes;
constexpr std::size_t kPieceBytes = (kLineBytes - 32) / 4;  // an escape takes four

[[noreturn]] void become_shell(const char* text, int output) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setsid();
  const int input = ::open("/dev/null", O_RDONLY);
  ::dup2(input, 0);
  ::dup2(output, 1);
  ::dup2(output, 2);
  ::setenv("PATH", "/bin", 1);
  ::setenv("HOME", "/", 1);
  ::execl("/bin/busybox", "sh", "-c", text, static_cast<char*>(nullptr));
  ::_exit(127);
}

}  // namespace

const char* ShellCommand::start(std::uint32_t id, std::string_view text) {
  if (text.empty()) return "no command";
  char copy[kMostTextBytes + 1];
  if (text.size() >= sizeof copy) return "too long a command";
  copy[text.copy(copy, sizeof copy - 1)] = '\0';
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return "cannot make a pipe";
  const base::Fd output(ends[1]);
  forget();
  pipe_.reset(ends[0]);
  child_ = ::fork();
  if (child_ == 0) become_shell(copy, output.get());
  if (child_ < 0) {
    child_ = 0;
    pipe_.reset();
    return "cannot start a process";
  }
  ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
  id_ = id;
  return nullptr;
}

const char* ShellCommand::end() {
  if (id_ == 0) return "no command runs";
  // Not yet waited for, so nobody else has this number.
  if (child_ != 0 && ::kill(-child_, SIGKILL) != 0) ::kill(child_, SIGKILL);
  return nullptr;
}

void ShellCommand::forget() {
  end();
  id_ = 0;
  child_ = 0;
  pipe_.reset();
}

bool ShellCommand::took(pid_t pid, int status) {
  if (pid != child_ || child_ == 0) return false;
  child_ = 0;
  exit_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

std::size_t ShellCommand::next_line(char* out, std::size_t size) {
  if (id_ == 0) return 0;
  const bool ended = child_ == 0;
  char bytes[kPieceBytes];
  const ssize_t got = pipe_ ? ::read(pipe_.get(), bytes, sizeof bytes) : 0;
  if (got > 0) {
    const int head = std::snprintf(out, size, "%u out ", id_);
    const std::size_t start = static_cast<std::size_t>(head);
    const Escaped said =
        escape_output({bytes, static_cast<std::size_t>(got)}, out + start, size - start - 1);
    out[start + said.length] = '\n';
    return start + said.length + 1;
  }
  if (got == 0 || ended) pipe_.reset();
  if (!ended) return 0;
  const int length = std::snprintf(out, size, "%u ok exit=%d\n", id_, exit_);
  id_ = 0;
  return static_cast<std::size_t>(length);
}

}  // namespace fairlead::guest
