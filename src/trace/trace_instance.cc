// SPDX-License-Identifier: Apache-2.0
#include "trace/trace_instance.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace fairlead::trace {

using base::ErrorKind;

namespace {

constexpr std::string_view kPrefix = "fairlead-";
constexpr std::size_t kMostFileBytes = 262'144;
constexpr int kMostOfOneProcess = 16;
constexpr int kTries = 100;
constexpr timespec kPause{0, 10'000'000};

void remove_left_over(const std::string& folder) {
  DIR* const all = ::opendir(folder.c_str());
  if (all == nullptr) return;
  while (const dirent* const entry = ::readdir(all)) {
    const std::string_view name = entry->d_name;
    if (name.starts_with(kPrefix)) ::rmdir((folder + "/").append(name).c_str());
  }
  ::closedir(all);
}

base::Status explain(int number, const std::string& folder) {
  auto error = base::Error::from_errno(number, "make an instance in " + folder);
  if (number == EACCES || number == EPERM) {
    return base::fail(std::move(error).advise("tracing the kernel needs root"));
  }
  return base::fail(std::move(error));
}

}  // namespace

base::Result<TraceInstance> TraceInstance::create(const std::string& tracefs) {
  const std::string folder = tracefs + "/instances";
  remove_left_over(folder);
  const std::string stem = folder + "/" + std::string(kPrefix) + std::to_string(::getpid());
  int taken = 0;
  // Another process that tidies up may take it in the moment before a file of it is open.
  for (int i = 0; i < kTries && taken < kMostOfOneProcess; ++i) {
    std::string path = taken == 0 ? stem : stem + "-" + std::to_string(taken);
    if (::mkdir(path.c_str(), 0700) != 0) {
      if (errno != EEXIST) return base::fail(explain(errno, folder).error());
      ++taken;
      continue;
    }
    base::Fd hold(::open((path + "/trace_clock").c_str(), O_RDONLY | O_CLOEXEC));
    if (hold) return TraceInstance(std::move(path), std::move(hold));
    const int number = errno;
    if (::rmdir(path.c_str()) == 0) {
      return base::fail_errno(number, "open " + path + "/trace_clock");
    }
  }
  return base::fail(ErrorKind::kBusy, "no instance of tracefs is to be had: " + stem);
}

TraceInstance::~TraceInstance() {
  if (hold_) (void)remove();
}

base::Status TraceInstance::remove() {
  hold_.reset();
  for (int i = 0; ::rmdir(path_.c_str()) != 0; ++i) {
    if (errno == ENOENT) return {};
    // A reader of the whole of tracefs may have a file open just now.
    if (errno != EBUSY || i == kTries) return base::fail_errno(errno, "remove " + path_);
    ::nanosleep(&kPause, nullptr);
  }
  return {};
}

base::Status TraceInstance::write(std::string_view file, std::string_view text) const {
  const std::string path = (path_ + "/").append(file);
  const base::Fd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!fd) return base::fail_errno(errno, "open " + path);
  auto status = base::write_all(fd.get(), text);
  if (!status) return base::fail(std::move(status).error().at(path));
  return {};
}

base::Result<std::string> TraceInstance::read(std::string_view file) const {
  return base::read_file((path_ + "/").append(file), kMostFileBytes);
}

}  // namespace fairlead::trace
