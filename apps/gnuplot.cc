// SPDX-License-Identifier: Apache-2.0
#include "apps/gnuplot.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace fairlead::apps {

base::Result<bool> draw(const std::filesystem::path& folder, const std::string& script) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  std::string program = "gnuplot";
  std::string argument = script;
  char* const arguments[] = {program.data(), argument.data(), nullptr};
  pid_t child = 0;
  const int failed = ::posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed == ENOENT) return false;
  if (failed != 0) return base::fail_errno(failed, "run gnuplot");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return base::fail_errno(errno, "wait for gnuplot");
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  return base::fail(base::ErrorKind::kIo, "gnuplot failed on " + (folder / script).string());
}

}  // namespace fairlead::apps
