// SPDX-License-Identifier: Apache-2.0
#include "guest/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/fd.h"

namespace fairlead::guest {
namespace {

using base::ErrorKind;
using base::Fd;

constexpr int kNoSuchProgram = 127;

struct Pipe {
  Fd read;
  Fd write;
};

base::Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return base::fail_errno(errno, "make a pipe");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

base::Result<Fd> open_file(const std::string& path, int flags) {
  Fd file(::open(path.c_str(), flags | O_CLOEXEC, 0644));
  if (!file) return base::fail_errno(errno, "open " + path);
  return file;
}

// Between fork and exec: system calls only.
[[noreturn]] void become(char* const* arguments, char* const* environment, const char* folder,
                         const std::array<int, 3>& fds) {
  ::setpgid(0, 0);
  for (int fd = 0; fd < 3; ++fd) ::dup2(fds[fd], fd);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (*folder == '\0' || ::chdir(folder) == 0) {
    ::execvpe(arguments[0], arguments, environment);
    if (errno == ENOENT) ::_exit(kNoSuchProgram);
  }
  const char* const why = std::strerror(errno);
  [[maybe_unused]] const ssize_t written = ::write(2, why, std::strlen(why));
  ::_exit(1);
}

void keep(std::string& text, const char* bytes, std::size_t size) {
  text.append(bytes, std::min(size, kMostOutput - std::min(text.size(), kMostOutput)));
}

// Reads both until their ends; false at the time limit.
bool collect(Fd& out, Fd& err, std::string& out_text, std::string& err_text, std::int64_t end_ns) {
  std::array<char, 65536> bytes;
  while (out || err) {
    pollfd files[2] = {{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}};
    const std::int64_t left = end_ns - base::monotonic_ns();
    if (left <= 0) return false;
    ::poll(files, 2, static_cast<int>(std::min<std::int64_t>(left / 1'000'000 + 1, 60'000)));
    for (const int i : {0, 1}) {
      if (files[i].revents == 0) continue;
      Fd& file = i == 0 ? out : err;
      const ssize_t got = ::read(file.get(), bytes.data(), bytes.size());
      if (got <= 0) {
        file.reset();
      } else {
        keep(i == 0 ? out_text : err_text, bytes.data(), static_cast<std::size_t>(got));
      }
    }
  }
  return true;
}

std::string last_line(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const std::size_t start = text.rfind('\n');
  return std::string(text.substr(start == std::string_view::npos ? 0 : start + 1).substr(0, 300));
}

base::Error failure(const std::vector<std::string>& command, int status,
                    const std::string& err_text) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoSuchProgram && err_text.empty()) {
    return {ErrorKind::kNotFound, command[0] + " is not installed"};
  }
  std::string why = last_line(err_text);
  if (why.empty()) why = "status " + std::to_string(status);
  return {ErrorKind::kIo, command[0] + ": " + why};
}

}  // namespace

base::Result<std::string> run_tool(const std::vector<std::string>& command,
                                   const SubprocessOptions& options) {
  FL_TRY(const Fd input, open_file(options.input.empty() ? "/dev/null" : options.input, O_RDONLY));
  FL_TRY(Pipe out, make_pipe());
  FL_TRY(Pipe err, make_pipe());
  if (!options.output.empty()) {
    FL_TRY(out.write, open_file(options.output, O_WRONLY | O_CREAT | O_TRUNC));
  }
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const std::array<int, 3> fds = {input.get(), out.write.get(), err.write.get()};
  std::vector<char*> environment = {const_cast<char*>("LC_ALL=C.UTF-8")};
  for (char** one = ::environ; *one != nullptr; ++one) {
    if (!std::string_view(*one).starts_with("LC_ALL=")) environment.push_back(*one);
  }
  environment.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return base::fail_errno(errno, "start " + command[0]);
  if (child == 0) become(arguments.data(), environment.data(), options.folder.c_str(), fds);
  out.write.reset();
  err.write.reset();
  std::string out_text;
  std::string err_text;
  const bool in_time =
      collect(out.read, err.read, out_text, err_text, base::monotonic_ns() + options.timeout_ns);
  if (!in_time) ::kill(-child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) return base::fail(ErrorKind::kTimeout, command[0] + " did not end in time");
  if (status != 0) return base::fail(failure(command, status, err_text));
  return out_text;
}

}  // namespace fairlead::guest
