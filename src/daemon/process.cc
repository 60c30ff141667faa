// SPDX-License-Identifier: Apache-2.0
#include "daemon/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/check.h"

namespace fairlead::daemon {
namespace {

using base::ErrorKind;
using base::fail;
using base::fail_errno;
using base::Fd;
using base::Result;
using base::Status;

// What the daemon says to its starter: one packet of a verdict and a line.
constexpr char kReady = 'R';
constexpr char kFailed = 'F';
constexpr std::size_t kMaxLine = 4000;

bool tell(const Fd& starter, char verdict, std::string_view line) {
  const std::string packet = verdict + std::string(line.substr(0, kMaxLine));
  ssize_t sent = -1;
  do sent = ::send(starter.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(packet.size());
}

// The errno of a failure, or 0.
int print(std::FILE* where, std::string_view line) {
  if (line.empty()) return 0;
  errno = 0;
  const bool printed =
      std::fprintf(where, "%.*s\n", static_cast<int>(line.size()), line.data()) >= 0;
  if (printed && std::fflush(where) == 0) return 0;
  return errno == 0 ? EIO : errno;
}

std::string how_it_died(int status) {
  if (WIFSIGNALED(status)) {
    return std::string("killed by signal ") + std::to_string(WTERMSIG(status)) + " (" +
           ::strsignal(WTERMSIG(status)) + ")";
  }
  return "exit status " + std::to_string(WEXITSTATUS(status));
}

// As subreaper the starter is the daemon's parent once the session leader has ended, so it can ask
// how the daemon died.
std::string reap_last_child() {
  int status = 0;
  int last = 0;
  while (::waitpid(-1, &status, 0) > 0 || errno == EINTR) last = status;
  return how_it_died(last);
}

[[noreturn]] void wait_as_starter(const DetachOptions& options, const Fd& daemon) {
  std::array<char, kMaxLine + 1> buffer;
  ssize_t got = -1;
  do got = ::recv(daemon.get(), buffer.data(), buffer.size(), 0);
  while (got < 0 && errno == EINTR);
  const std::string_view line(buffer.data() + 1,
                              static_cast<std::size_t>(std::max<ssize_t>(got, 1)) - 1);
  if (got > 0 && buffer[0] == kReady) {
    const int number = print(stdout, line);
    if (number == 0) ::_exit(0);
    // It serves, but nobody was told so.
    const auto error = base::Error::from_errno(number, "write standard output");
    print(stderr, options.program + ": " + error.message());
    ::_exit(1);
  }
  const std::string reason = got > 0 ? std::string(line)
                                     : "the daemon died before it was ready: " + reap_last_child() +
                                           " (see " + options.log_path + ")";
  print(stderr, options.program + ": " + reason);
  ::_exit(1);
}

void close_all_but(std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned first = 3;
  for (const int fd : kept) {
    if (fd < 3) continue;
    if (static_cast<unsigned>(fd) > first) ::close_range(first, static_cast<unsigned>(fd) - 1, 0);
    first = static_cast<unsigned>(fd) + 1;
  }
  ::close_range(first, ~0U, 0);
}

void reset_signals() {
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

struct Streams {
  Fd null;
  Fd log;
};

Result<Streams> open_streams(const std::string& log_path) {
  Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return fail_errno(errno, "open /dev/null");
  Fd log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
                0600));
  if (!log || ::fchmod(log.get(), 0600) != 0) return fail_errno(errno, "open the log " + log_path);
  return Streams{std::move(null), std::move(log)};
}

// In the daemon.  What is needed is open already, so nothing here fails.  A kept descriptor below 3
// would be replaced by the streams: base::hold_standard_streams() in main keeps them apart.
void settle_in(const Streams& streams, std::vector<int> kept) {
  FL_CHECK(std::none_of(kept.begin(), kept.end(),
                        [](int fd) { return fd >= 0 && fd <= STDERR_FILENO; }));
  FL_CHECK(::dup2(streams.null.get(), STDIN_FILENO) >= 0);
  FL_CHECK(::dup2(streams.log.get(), STDOUT_FILENO) >= 0);
  FL_CHECK(::dup2(streams.log.get(), STDERR_FILENO) >= 0);
  close_all_but(std::move(kept));
  reset_signals();
  ::umask(077);
  FL_CHECK(::chdir("/") == 0);
}

// Without a new session: no terminal, and no signal that is meant for its foreground group.
void leave_terminal() {
  ::setpgid(0, 0);
  const Fd terminal(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (terminal) ::ioctl(terminal.get(), TIOCNOTTY);
}

}  // namespace

Result<Readiness> detach(const DetachOptions& options) {
  FL_CHECK(options.log_path.starts_with('/'));
  FL_TRY(const Streams streams, open_streams(options.log_path));
  FL_TRY(Notifier notifier, Notifier::from_environment());
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail_errno(errno, "make a socket pair");
  }
  Fd for_starter(ends[0]);
  Fd for_daemon(ends[1]);
  std::fflush(nullptr);  // else both processes would write what waits in the buffers
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t leader = ::fork();
  if (leader < 0) return fail_errno(errno, "fork");
  if (leader > 0) {
    for_daemon.reset();
    wait_as_starter(options, for_starter);
  }
  for_starter.reset();
  if (options.session == Session::kOwn) {
    ::setsid();
  } else {
    leave_terminal();
  }
  // A process that leads no session can never get a terminal by opening one.
  const pid_t daemon = ::fork();
  if (daemon < 0) {
    tell(for_daemon, kFailed, base::Error::from_errno(errno, "fork").message());
    ::_exit(1);
  }
  if (daemon > 0) ::_exit(0);
  std::vector<int> kept(options.keep_fds.begin(), options.keep_fds.end());
  for (const int fd : {streams.null.get(), streams.log.get(), for_daemon.get(), notifier.fd()}) {
    kept.push_back(fd);
  }
  settle_in(streams, std::move(kept));
  return Readiness(options.program, std::move(for_daemon), std::move(notifier));
}

Result<Readiness> stay_in_foreground(std::string program) {
  FL_TRY(Notifier notifier, Notifier::from_environment());
  return Readiness(std::move(program), Fd(), std::move(notifier));
}

Status Readiness::ready(std::string_view announcement) {
  if (!starter_) {
    print(stdout, announcement);
    program_.clear();
    return notifier_.send("READY=1");
  }
  const bool heard = tell(starter_, kReady, announcement);
  starter_.reset();
  program_.clear();
  if (!heard) return fail(ErrorKind::kClosed, "the starter was interrupted");
  return notifier_.send("MAINPID=" + std::to_string(::getpid()) + "\nREADY=1");
}

int Readiness::failed(const base::Error& error) {
  if (starter_) {
    tell(starter_, kFailed, error.message());
    starter_.reset();
  } else {
    print(stderr, program_ + ": " + error.message());
  }
  program_.clear();
  return 1;
}

Readiness::~Readiness() {
  if (starter_) failed({ErrorKind::kClosed, "the daemon ended without being ready"});
}

}  // namespace fairlead::daemon
