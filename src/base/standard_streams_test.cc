// SPDX-License-Identifier: Apache-2.0
#include "base/standard_streams.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace fairlead::base {
namespace {

bool is_null(int fd) {
  struct stat here{};
  struct stat null{};
  return ::fstat(fd, &here) == 0 && ::stat("/dev/null", &null) == 0 && here.st_rdev == null.st_rdev;
}

// In a child without the streams of `closed` (a bit each): 0 if all is as it should be.
int try_without(unsigned closed) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (int fd = 0; fd < 3; ++fd) {
      if ((closed >> fd & 1) != 0) ::close(fd);
    }
    hold_standard_streams();
    for (int fd = 0; fd < 3; ++fd) {
      if (::fcntl(fd, F_GETFD) < 0) ::_exit(1);
      if ((closed >> fd & 1) == 0) continue;
      char byte = 'x';
      const auto moved = fd == STDIN_FILENO ? ::read(fd, &byte, 1) : ::write(fd, &byte, 1);
      if (!is_null(fd) || (moved == -1) != (fd != STDERR_FILENO)) ::_exit(2);
    }
    const int next = ::open("/dev/zero", O_RDONLY);
    ::_exit(next > STDERR_FILENO ? 0 : 3);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(StandardStreams, WhateverIsClosedIsThereAfterwards) {
  for (unsigned closed = 0; closed < 8; ++closed) EXPECT_EQ(try_without(closed), 0) << closed;
}

TEST(StandardStreams, NothingElseStaysOpen) {
  const int before = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(before);
  hold_standard_streams();
  const int after = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(after);
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace fairlead::base
