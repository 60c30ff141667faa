// SPDX-License-Identifier: Apache-2.0
#include "trace/recording_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/file.h"
#include "trace/trace_file.h"

namespace fairlead::trace {

using base::ErrorKind;

base::Result<RecordingFile> RecordingFile::open(const std::string& path) {
  // A pipe does not keep a reader and writer waiting.
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  base::Fd fd(::open(path.c_str(), kFlags | O_CREAT | O_EXCL, 0666));
  const bool made = static_cast<bool>(fd);
  if (!fd && errno == EEXIST) fd.reset(::open(path.c_str(), kFlags | O_CREAT, 0666));
  if (!fd) return base::fail_errno(errno, "create " + path);
  RecordingFile file(path, std::move(fd), made);
  FL_TRY_STATUS(file.make_sure_of_it());
  return file;
}

RecordingFile::RecordingFile(std::string path, base::Fd fd, bool made) noexcept
    : path_(std::move(path)), fd_(std::move(fd)), made_(made) {}

RecordingFile::RecordingFile(RecordingFile&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      fd_(std::move(other.fd_)),
      made_(other.made_),
      written_(other.written_) {}

RecordingFile::~RecordingFile() {
  if (made_ && !written_) discard();
}

void RecordingFile::discard() noexcept {
  if (!path_.empty()) ::unlink(path_.c_str());
  path_.clear();
}

base::Status RecordingFile::make_sure_of_it() const {
  struct stat status{};
  if (::fstat(fd_.get(), &status) != 0) return base::fail_errno(errno, "look at " + path_);
  if (S_ISCHR(status.st_mode)) return {};  // /dev/null
  if (!S_ISREG(status.st_mode)) {
    return base::fail(base::Error(ErrorKind::kInvalid, path_ + " is no regular file")
                          .advise("a recording is read from many places; name a file"));
  }
  if (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return base::fail_errno(errno, "lock " + path_);
    return base::fail(base::Error(ErrorKind::kBusy, "somebody else records into " + path_)
                          .advise("name another file with --file"));
  }
  return status.st_size > 0 ? check_content() : base::Status();
}

base::Status RecordingFile::check_content() const {
  char bytes[16];
  const ssize_t got = ::pread(fd_.get(), bytes, sizeof bytes, 0);
  if (got < 0) return base::fail_errno(errno, "read " + path_);
  if (begins_recording({bytes, static_cast<std::size_t>(got)})) return {};
  return base::fail(base::Error(ErrorKind::kExists, path_ + " is there and is no recording")
                        .advise("name another file with --file, or remove it"));
}

base::Status RecordingFile::write(std::string_view bytes) {
  if (!std::exchange(written_, true) && ::ftruncate(fd_.get(), 0) != 0 && errno != EINVAL) {
    return base::fail_errno(errno, "empty " + path_);
  }
  auto status = base::write_all(fd_.get(), bytes);
  if (!status) return base::fail(std::move(status).error().at("write " + path_));
  return {};
}

}  // namespace fairlead::trace
