// SPDX-License-Identifier: Apache-2.0
#include "daemon/stop.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
extern "C" {  // glibc 2.36 forgets it
#include <sys/pidfd.h>
}

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/fd.h"
#include "base/file.h"
#include "daemon/lock_file.h"

namespace fairlead::daemon {
namespace {

using base::ErrorKind;
using base::fail;
using base::fail_errno;
using base::Fd;
using base::Result;

struct Target {
  ProcessId id;
  Fd process;
};

timespec as_timespec(std::int64_t ns) {
  return {.tv_sec = ns / base::kNanosPerSecond, .tv_nsec = ns % base::kNanosPerSecond};
}

// The holder as a pidfd; nullopt: nobody holds the lock.  A holder that has just locked has not
// written yet (or the text is its dead predecessor's): that passes, so look again.
Result<std::optional<Target>> find_target(const std::string& lock_path, std::int64_t patience_ns) {
  const std::int64_t deadline_ns = base::monotonic_ns() + patience_ns;
  for (;;) {
    FL_TRY(const auto holder, LockFile::holder(lock_path));
    if (!holder) return std::nullopt;
    if (holder->process) {
      auto process = holder->process->open();
      if (process) return Target{*holder->process, *std::move(process)};
      if (process.error().kind() != ErrorKind::kNotFound) return fail(process.error());
    }
    if (base::monotonic_ns() >= deadline_ns) {
      return fail(ErrorKind::kTimeout, "the process that holds " + lock_path + " cannot be found");
    }
    const timespec pause = as_timespec(base::kNanosPerMilli);
    ::nanosleep(&pause, nullptr);
  }
}

bool ended_within(const Fd& process, std::int64_t patience_ns) {
  const std::int64_t deadline_ns = base::monotonic_ns() + patience_ns;
  for (;;) {
    const timespec left =
        as_timespec(std::max<std::int64_t>(deadline_ns - base::monotonic_ns(), 0));
    pollfd end{.fd = process.get(), .events = POLLIN, .revents = 0};
    const int ready = ::ppoll(&end, 1, &left, nullptr);
    if (ready > 0) return true;
    if (ready == 0) return false;
  }
}

// Real, effective, saved and file system user, as status of /proc tells them.
Result<std::array<uid_t, 4>> users_of(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/status";
  FL_TRY(const std::string text, base::read_file(path, std::size_t{64} * 1024));
  std::array<uid_t, 4> users{};
  const auto at = text.find("\nUid:");
  if (at == std::string::npos || std::sscanf(text.c_str() + at, "\nUid: %u %u %u %u", &users[0],
                                             &users[1], &users[2], &users[3]) != 4) {
    return fail(ErrorKind::kCorrupt, "read " + path + ": no users");
  }
  return users;
}

// nullopt: this process may not see it, or it has nothing open any more.
std::optional<bool> has_open(pid_t pid, const std::string& path) {
  struct stat wanted{};
  if (::stat(path.c_str(), &wanted) != 0) return std::nullopt;
  std::error_code problem;
  bool any = false;
  std::filesystem::directory_iterator at("/proc/" + std::to_string(pid) + "/fd", problem);
  for (; !problem && at != std::filesystem::directory_iterator(); at.increment(problem)) {
    struct stat open{};
    if (::stat(at->path().c_str(), &open) != 0) continue;
    if (open.st_dev == wanted.st_dev && open.st_ino == wanted.st_ino) return true;
    any = true;
  }
  return problem || !any ? std::nullopt : std::optional(false);
}

// May the word of this lock's text move us to signal that process?
base::Status check_target(const Target& target, const std::string& lock_path) {
  const std::string named = "process " + std::to_string(target.id.pid) + ", which " + lock_path +
                            " names, is not signalled: ";
  struct stat folder{};
  const std::string parent = std::filesystem::path(lock_path).parent_path().string();
  if (::stat(parent.c_str(), &folder) != 0) return fail_errno(errno, "look at " + parent);
  const auto users = users_of(target.id.pid);
  if (!users) return ended_within(target.process, 0) ? base::Status{} : fail(users.error());
  for (const uid_t user : *users) {
    if (user == folder.st_uid) continue;
    return fail(ErrorKind::kDenied, named + "it runs as user " + std::to_string(user) +
                                        ", the folder is of user " + std::to_string(folder.st_uid));
  }
  if (has_open(target.id.pid, lock_path) == false) {
    return fail(ErrorKind::kDenied, named + "it does not have that file open");
  }
  return {};
}

base::Status send_signal(const Target& target, int number) {
  // ESRCH: it ended this instant.
  if (::pidfd_send_signal(target.process.get(), number, nullptr, 0) == 0 || errno == ESRCH) {
    return {};
  }
  return fail_errno(errno, "end process " + std::to_string(target.id.pid));
}

Result<Ending> end(const Target& target, const std::string& lock_path, const Patience& patience) {
  if (ended_within(target.process, patience.drain_ns)) return Ending::kDrained;
  FL_TRY_STATUS(check_target(target, lock_path));
  FL_TRY_STATUS(send_signal(target, SIGTERM));
  FL_TRY_STATUS(send_signal(target, SIGCONT));  // a stopped one would not see SIGTERM
  if (ended_within(target.process, patience.terminate_ns)) return Ending::kTerminated;
  FL_TRY_STATUS(send_signal(target, SIGKILL));
  if (ended_within(target.process, patience.kill_ns)) return Ending::kKilled;
  return fail(ErrorKind::kTimeout,
              "process " + std::to_string(target.id.pid) + " does not end, not even by SIGKILL");
}

}  // namespace

std::string_view name(Ending ending) noexcept {
  switch (ending) {
    case Ending::kNotRunning: return "not running";
    case Ending::kDrained: return "drained";
    case Ending::kTerminated: return "terminated";
    case Ending::kKilled: return "killed";
  }
  return "unknown";
}

Result<Ending> await_end(const std::string& lock_path, const Patience& patience) {
  FL_TRY(const auto target, find_target(lock_path, base::kNanosPerSecond));
  if (!target) return Ending::kNotRunning;
  FL_TRY(const Ending ending, end(*target, lock_path, patience));
  FL_TRY(const auto successor, LockFile::holder(lock_path));
  if (successor) return fail(ErrorKind::kBusy, "another process has taken " + lock_path + " again");
  return ending;
}

}  // namespace fairlead::daemon
