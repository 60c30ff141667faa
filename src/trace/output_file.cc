// SPDX-License-Identifier: Apache-2.0
#include "trace/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/file.h"

namespace fairlead::trace {

void BufferedOutput::write() {
  if (status_) status_ = base::write_all(fd_, buffer_);
  buffer_.clear();
}

base::Result<OutputFile> OutputFile::create(const std::string& path) {
  base::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd) return base::fail_errno(errno, "create " + path);
  return OutputFile(std::move(fd), path);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : fd_(std::move(other.fd_)),
      out_(std::move(other.out_)),
      path_(std::exchange(other.path_, {})) {}

OutputFile::~OutputFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

base::Status OutputFile::close() {
  if (auto written = out_.flush(); !written) {
    return base::fail(std::move(written).error().at(path_));
  }
  if (::close(fd_.release()) != 0) return base::fail_errno(errno, "close " + path_);
  path_.clear();
  return {};
}

}  // namespace fairlead::trace
