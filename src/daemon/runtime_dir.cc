// SPDX-License-Identifier: Apache-2.0
#include "daemon/runtime_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/fd.h"
#include "base/quote.h"
#include "base/user.h"

namespace fairlead::daemon {
namespace {

using base::ErrorKind;
using base::fail;
using base::fail_errno;
using base::Result;
using base::Status;

constexpr std::string_view kAdvice = "set FAIRLEAD_RUNTIME_DIR to a folder of yours";
constexpr std::size_t kMaxName = 64;

std::string from_environment() {
  const char* own = std::getenv("FAIRLEAD_RUNTIME_DIR");
  if (own != nullptr && *own != '\0') return own;
  const char* session = std::getenv("XDG_RUNTIME_DIR");
  if (session != nullptr && *session != '\0') return std::string(session) + "/fairlead";
  return "/run/fairlead";
}

base::Error denied(int number, const std::string& what) {
  return base::Error::from_errno(number, what).advise(kAdvice);
}

base::Error of_another(const std::string& path, uid_t owner, RuntimeDir::Purpose purpose) {
  const std::string name = base::user_name(owner);
  std::string text = "runtime folder " + path + " belongs to " + name;
  if (purpose == RuntimeDir::Purpose::kServe) {
    return base::Error(ErrorKind::kDenied, text + ", not to " + base::user_name(::geteuid()))
        .advise(kAdvice);
  }
  text += ", whose service takes clients of that user only";
  return base::Error(ErrorKind::kDenied, text)
      .advise("be " + name + ", or for a service of yours " + std::string(kAdvice));
}

Status check(const std::string& path, const struct stat& found, RuntimeDir::Purpose purpose) {
  const uid_t me = ::geteuid();
  const bool ours = found.st_uid == me;
  const bool usable =
      ours || (purpose == RuntimeDir::Purpose::kUse && (found.st_uid == 0 || me == 0));
  if (!usable) return fail(of_another(path, found.st_uid, purpose));
  if ((found.st_mode & 022) != 0) {
    return fail(
        base::Error(ErrorKind::kInvalid, "runtime folder " + path + " can be written by others")
            .advise(kAdvice));
  }
  return {};
}

bool valid_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  return !name.empty() && name.size() <= kMaxName && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), allowed);
}

}  // namespace

Result<RuntimeDir> RuntimeDir::open(Purpose purpose) {
  return open_at(from_environment(), purpose);
}

Result<RuntimeDir> RuntimeDir::open_at(std::string path, Purpose purpose) {
  std::error_code relative_to;
  path = std::filesystem::absolute(path, relative_to).lexically_normal();
  if (relative_to) return fail_errno(relative_to.value(), "find the current folder");
  while (path.size() > 1 && path.back() == '/') path.pop_back();

  if (purpose == Purpose::kServe && ::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(denied(errno, "make the runtime folder " + path));
  }
  const base::Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) {
    if (errno == ENOENT) {
      return fail(ErrorKind::kNotFound, "no service is running: there is no " + path);
    }
    if (errno == ENOTDIR || errno == ELOOP) {
      return fail(ErrorKind::kInvalid, "runtime folder " + path + " is no folder");
    }
    const int number = errno;
    struct stat closed{};
    if (number == EACCES && ::lstat(path.c_str(), &closed) == 0 && closed.st_uid != ::geteuid()) {
      return fail(of_another(path, closed.st_uid, purpose));
    }
    return fail(denied(number, "open the runtime folder " + path));
  }
  struct stat found{};
  if (::fstat(folder.get(), &found) != 0) return fail_errno(errno, "look at " + path);
  FL_TRY_STATUS(check(path, found, purpose));
  if (::access(path.c_str(), purpose == Purpose::kServe ? W_OK | X_OK : X_OK) != 0) {
    return fail(denied(errno, "use the runtime folder " + path));
  }
  return RuntimeDir(std::move(path));
}

Status RuntimeDir::check_name(std::string_view name) {
  if (valid_name(name)) return {};
  return fail(ErrorKind::kInvalid,
              "bad service name " + base::quoted(name) +
                  "; allowed are 1 to 64 of A-Z a-z 0-9 _ . - that do not start with a dot");
}

Result<RuntimeFiles> RuntimeDir::files(std::string_view name) const {
  FL_TRY_STATUS(check_name(name));
  const std::string stem = path_ + "/" + std::string(name);
  RuntimeFiles files{stem + ".sock", stem + ".lock", stem + ".log", stem + ".last"};
  constexpr std::size_t kLongest = sizeof(sockaddr_un::sun_path) - 1;
  if (files.socket.size() > kLongest) {
    return fail(base::Error(ErrorKind::kInvalid, "socket path of " +
                                                     std::to_string(files.socket.size()) +
                                                     " bytes, at most " + std::to_string(kLongest) +
                                                     " fit: " + files.socket)
                    .advise("choose a shorter name or set FAIRLEAD_RUNTIME_DIR to a shorter path"));
  }
  return files;
}

}  // namespace fairlead::daemon
