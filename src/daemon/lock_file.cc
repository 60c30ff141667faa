// SPDX-License-Identifier: Apache-2.0
#include "daemon/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <string_view>

#include "base/user.h"

namespace fairlead::daemon {
namespace {

using base::ErrorKind;
using base::fail;
using base::fail_errno;
using base::Fd;
using base::Result;
using base::Status;

constexpr int kAttempts = 1000;

enum class Attempt { kLocked, kHeld, kAgain };

bool still_at(const std::string& path, const Fd& file) {
  struct stat there{};
  struct stat here{};
  return ::lstat(path.c_str(), &there) == 0 && ::fstat(file.get(), &here) == 0 &&
         there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

bool lock(const Fd& file, int how) {
  int result = -1;
  do result = ::flock(file.get(), how | LOCK_NB);
  while (result != 0 && errno == EINTR);
  return result == 0;
}

// holder() asks by a shared lock, for an instant.  Who fails to get the exclusive one therefore
// asks too: only against another exclusive one does the shared fail.
Attempt try_exclusive(const std::string& path, const Fd& file) {
  if (lock(file, LOCK_EX)) {
    // Between our open and our lock the last holder may have removed the file.
    return still_at(path, file) ? Attempt::kLocked : Attempt::kAgain;
  }
  if (!lock(file, LOCK_SH)) return Attempt::kHeld;
  ::flock(file.get(), LOCK_UN);
  return Attempt::kAgain;
}

std::optional<ProcessId> read_holder(const Fd& file) {
  std::array<char, 64> buffer;
  const ssize_t got = ::pread(file.get(), buffer.data(), buffer.size(), 0);
  if (got <= 0) return std::nullopt;
  return ProcessId::parse({buffer.data(), static_cast<std::size_t>(got)});
}

base::Error held(const std::string& path, const Fd& file) {
  const auto holder = read_holder(file);
  return {ErrorKind::kBusy, holder ? "already running as process " + std::to_string(holder->pid) +
                                         ", which holds " + path
                                   : "already running: another process holds " + path};
}

void breathe() {
  const timespec pause{.tv_sec = 0, .tv_nsec = 100'000};
  ::nanosleep(&pause, nullptr);
}

}  // namespace

Result<LockFile> LockFile::take(const std::string& path) {
  for (int i = 0; i < kAttempts; ++i) {
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return fail_errno(errno, "open the lock " + path);
    switch (try_exclusive(path, file)) {
      case Attempt::kHeld: return fail(held(path, file));
      case Attempt::kAgain: breathe(); continue;
      case Attempt::kLocked: break;
    }
    LockFile taken(std::move(file), path);
    FL_TRY_STATUS(taken.claim());
    return taken;
  }
  return fail(ErrorKind::kBusy, "lock " + path + ": others keep taking and leaving it");
}

Status LockFile::claim() {
  FL_TRY(const ProcessId self, ProcessId::self());
  const std::string text = self.text() + "\n";
  // Longer than what it replaces or cut behind it: at no moment two half texts that parse as one.
  if (::ftruncate(file_.get(), 0) != 0 ||
      ::pwrite(file_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return fail_errno(errno, "write who holds " + path_);
  }
  claimed_by_ = self.pid;
  return {};
}

LockFile::~LockFile() {
  if (!file_) return;
  // While still held: whoever opened this file before is sent to the new one by still_at().
  if (claimed_by_ == ::getpid() && still_at(path_, file_)) ::unlink(path_.c_str());
}

Result<std::optional<LockFile::Holder>> LockFile::holder(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    if (errno == EACCES) return fail(base::denied_service("open the lock " + path, path));
    return fail_errno(errno, "open the lock " + path);
  }
  if (lock(file, LOCK_SH)) return std::nullopt;
  return Holder{read_holder(file)};
}

}  // namespace fairlead::daemon
