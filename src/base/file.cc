// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/fd.h"

namespace fairlead::base {
namespace {

ssize_t read_some(int fd, char* to, std::size_t bytes) noexcept {
  ssize_t got = 0;
  do {
    got = ::read(fd, to, bytes);
  } while (got < 0 && errno == EINTR);
  return got;
}

Status sync(int fd, const std::string& path) {
  if (::fsync(fd) != 0) return fail_errno(errno, "sync " + path);
  return {};
}

// Content and mode into the open temporary file, down to the disk.
Status fill(int fd, const std::string& path, std::string_view bytes, mode_t mode) {
  if (auto written = write_all(fd, bytes); !written) {
    return fail(std::move(written).error().at(path));
  }
  if (::fchmod(fd, mode) != 0) return fail_errno(errno, "set the mode of " + path);
  return sync(fd, path);
}

Status sync_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "open " + folder);
  // Some file systems cannot sync a folder; they say EINVAL, and there is nothing more to do.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return fail_errno(errno, "sync " + folder);
  return {};
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t max_bytes) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "open " + path);
  std::string content;
  std::array<char, 16384> chunk;
  for (;;) {
    const ssize_t got = read_some(fd.get(), chunk.data(), chunk.size());
    if (got < 0) return fail_errno(errno, "read " + path);
    if (got == 0) return content;
    if (static_cast<std::size_t>(got) > max_bytes - content.size()) {
      return fail(ErrorKind::kLimit,
                  "read " + path + ": more than " + std::to_string(max_bytes) + " bytes");
    }
    content.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

Status write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return fail_errno(errno, "write");
    if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Status write_file_atomic(const std::string& path, std::string_view bytes, mode_t mode) {
  std::string temporary = path + ".XXXXXX";
  Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return fail_errno(errno, "create a temporary file beside " + path);
  auto status = fill(fd.get(), temporary, bytes, mode);
  if (status && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = fail_errno(errno, "rename " + temporary + " to " + path);
  }
  if (!status) {
    ::unlink(temporary.c_str());
    return status;
  }
  return sync_folder(path);
}

}  // namespace fairlead::base
