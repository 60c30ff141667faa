// SPDX-License-Identifier: Apache-2.0
#include "daemon/process_id.h"

#include <fcntl.h>
extern "C" {  // glibc 2.36 forgets it
#include <sys/pidfd.h>
}
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

namespace fairlead::daemon {
namespace {

using base::ErrorKind;
using base::fail;
using base::fail_errno;
using base::Result;

// The first number of `text`, which it is cut from; false if there is none.
template <typename Number>
bool take_number(std::string_view& text, Number& value) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

Result<std::uint64_t> start_ticks_of(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const base::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno(errno, "read " + path);
  std::array<char, 1024> buffer;
  const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
  if (got < 0) return fail_errno(errno, "read " + path);
  std::string_view text(buffer.data(), static_cast<std::size_t>(got));
  // The command's name may hold spaces and brackets; behind the last bracket is field 3.
  text.remove_prefix(std::min(text.size(), text.rfind(')') + 1));
  for (int field = 2; field < 22; ++field) {
    text.remove_prefix(std::min(text.size(), text.find(' ') + 1));
  }
  std::uint64_t ticks = 0;
  if (!take_number(text, ticks))
    return fail(ErrorKind::kCorrupt, "read " + path + ": no start time");
  return ticks;
}

}  // namespace

Result<ProcessId> ProcessId::self() { return of(::getpid()); }

Result<ProcessId> ProcessId::of(pid_t pid) {
  FL_TRY(const std::uint64_t ticks, start_ticks_of(pid));
  return ProcessId{pid, ticks};
}

std::string ProcessId::text() const {
  return std::to_string(pid) + " " + std::to_string(start_ticks);
}

std::optional<ProcessId> ProcessId::parse(std::string_view text) {
  ProcessId id;
  if (!take_number(text, id.pid) || id.pid <= 0 || !text.starts_with(' ')) return std::nullopt;
  text.remove_prefix(1);
  if (!take_number(text, id.start_ticks)) return std::nullopt;
  if (!text.empty() && text != "\n") return std::nullopt;
  return id;
}

Result<base::Fd> ProcessId::open() const {
  base::Fd process(::pidfd_open(pid, 0));
  if (!process) return fail_errno(errno, "open process " + std::to_string(pid));
  // Asked after the pidfd is held: from now on the pid cannot change its owner unseen.
  const auto ticks = start_ticks_of(pid);
  if (!ticks || *ticks != start_ticks) {
    return fail(ErrorKind::kNotFound, "process " + std::to_string(pid) + " is gone");
  }
  return process;
}

}  // namespace fairlead::daemon
