// SPDX-License-Identifier: Apache-2.0
#include "apps/traced_command.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace fairlead::apps {
namespace {

constexpr std::chrono::milliseconds kPatience(2000);
constexpr std::chrono::milliseconds kEvery(2);

// daemon::Signals blocks what ends us and ignores SIGPIPE, apps::run() SIGXFSZ; a child would
// inherit all of that.
class AsBefore {
 public:
  AsBefore() noexcept {
    sigset_t none;
    sigset_t ignored;
    ::sigemptyset(&none);
    ::sigemptyset(&ignored);
    ::sigaddset(&ignored, SIGPIPE);
    ::sigaddset(&ignored, SIGXFSZ);
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &ignored);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  AsBefore(const AsBefore&) = delete;
  AsBefore& operator=(const AsBefore&) = delete;
  ~AsBefore() { ::posix_spawnattr_destroy(&attributes_); }

  const posix_spawnattr_t* get() const noexcept { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

}  // namespace

base::Result<TracedCommand> TracedCommand::start(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const AsBefore as_before;
  pid_t child = 0;
  const int failed =
      ::posix_spawnp(&child, arguments[0], nullptr, as_before.get(), arguments.data(), environ);
  if (failed != 0) return base::fail_errno(failed, "run " + words[0]);
  return TracedCommand(child);
}

bool TracedCommand::ended() noexcept {
  if (child_ > 0 && ::waitpid(child_, &status_, WNOHANG) == child_) child_ = 0;
  return child_ == 0;
}

void TracedCommand::end() noexcept {
  if (ended()) return;
  ::kill(child_, SIGTERM);
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!ended() && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(kEvery);
  if (child_ == 0) return;
  ::kill(child_, SIGKILL);
  ::waitpid(child_, &status_, 0);
  child_ = 0;
}

int TracedCommand::code() const noexcept {
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
}

}  // namespace fairlead::apps
