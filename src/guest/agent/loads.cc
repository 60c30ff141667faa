// SPDX-License-Identifier: Apache-2.0
#include "guest/agent/loads.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace fairlead::guest {
namespace {

void be_the_first_to_go() {
  const int file = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(file, "1000", 4);
  ::close(file);
}

}  // namespace

Loads::Loads() {
  void* const page = ::mmap(nullptr, sizeof(LoadProgress) * kMostLoads, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page != MAP_FAILED) progress_ = static_cast<LoadProgress*>(page);
}

const char* Loads::start(const LoadShape& shape) {
  if (shape.kind == LoadShape::Kind::kMemory) {
    if (shape.memory.cache && ::access("/dev/vda", R_OK) != 0) {
      return "no disk to read: this guest has no /dev/vda";
    }
    return spawn(shape, 0);
  }
  std::uint32_t threads = shape.cpu.threads;
  if (threads == 0) threads = static_cast<std::uint32_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  for (std::uint32_t thread = 0; thread < threads; ++thread) {
    if (const char* wrong = spawn(shape, thread)) return wrong;
  }
  return nullptr;
}

const char* Loads::spawn(const LoadShape& shape, std::uint64_t thread) {
  Child* const child = std::ranges::find(children_, 0, &Child::pid);
  if (child == std::end(children_) || progress_ == nullptr) return "too many loads";
  LoadProgress& progress = progress_[child - children_];
  progress.rounds = 0;
  progress.held_bytes = 0;
  progress.peak_bytes = 0;
  const pid_t pid = ::fork();
  if (pid < 0) return "cannot start a process";
  if (pid > 0) {
    child->pid = pid;
    return nullptr;
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  be_the_first_to_go();
  if (shape.kind == LoadShape::Kind::kMemory) {
    run_memory_load(shape.memory, progress);
  } else {
    run_cpu_load(shape.cpu, thread, progress);
  }
  ::_exit(0);
}

void Loads::ended(std::size_t slot) {
  children_[slot].pid = 0;
  past_rounds_ += progress_[slot].rounds;
  past_peak_ = std::max<std::uint64_t>(past_peak_, progress_[slot].peak_bytes);
}

void Loads::stop() {
  for (const Child& child : children_) {
    if (child.pid != 0) ::kill(child.pid, SIGKILL);
  }
  for (std::size_t i = 0; i < kMostLoads; ++i) {
    if (children_[i].pid == 0) continue;
    ::waitpid(children_[i].pid, nullptr, 0);
    ended(i);
  }
}

void Loads::took(pid_t pid) {
  Child* const child = std::ranges::find(children_, pid, &Child::pid);
  if (child == std::end(children_)) return;
  ended(static_cast<std::size_t>(child - children_));
  ++ended_;
}

void Loads::fill(Report& report) const {
  report.rounds = past_rounds_;
  report.ended = ended_;
  std::uint64_t peak = past_peak_;
  std::uint64_t held = 0;
  for (std::size_t i = 0; i < kMostLoads; ++i) {
    if (children_[i].pid == 0) continue;
    ++report.loads;
    report.rounds += progress_[i].rounds;
    held += progress_[i].held_bytes;
    peak = std::max<std::uint64_t>(peak, progress_[i].peak_bytes);
  }
  report.memory_kib = held / 1024;
  report.peak_kib = peak / 1024;
}

}  // namespace fairlead::guest
