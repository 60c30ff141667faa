// SPDX-License-Identifier: Apache-2.0
#include "daemon/sandbox.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <cerrno>
#include <filesystem>
#include <memory>

#include "base/sanitizers.h"

namespace fairlead::daemon {
namespace {

using base::ErrorKind;
using base::fail;
using base::Result;
using base::Status;

constexpr std::uint64_t kWriting = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);

// clang-format off
constexpr AllowedCall kBase[] = {
    // memory: brk and the rest are malloc's, madvise frees the stacks of ended threads
    {"brk"}, {"mmap", 2, PROT_EXEC, 0}, {"munmap"}, {"mprotect", 2, PROT_EXEC, 0}, {"mremap"},
    {"madvise"},
    // threads that wait and end
    {"futex"}, {"set_robust_list"}, {"rseq"}, {"sched_yield"}, {"sched_getaffinity"},
    {"membarrier"}, {"getcpu"},
    // time: mostly without a system call, but not with every clock source
    {"clock_gettime"}, {"clock_getres"}, {"clock_nanosleep"}, {"nanosleep"}, {"gettimeofday"},
    {"time"},
    // signals; tgkill is abort()
    {"rt_sigaction"}, {"rt_sigprocmask"}, {"rt_sigreturn"}, {"sigaltstack"}, {"restart_syscall"},
    {"tgkill"},
    // who we are
    {"getpid"}, {"gettid"}, {"getuid"}, {"geteuid"}, {"getgid"}, {"getegid"}, {"getrandom"},
    {"getrusage"}, {"sysinfo"},
    // open files; malloc and the C library read a few of /proc and /sys
    {"read"}, {"write"}, {"readv"}, {"writev"}, {"pread64"}, {"pwrite64"}, {"lseek"}, {"close"},
    {"fstat"}, {"newfstatat"}, {"fcntl"}, {"poll"}, {"ppoll"}, {"openat", 2, kWriting, O_RDONLY},
    // the end
    {"exit"}, {"exit_group"},
};

constexpr AllowedCall kLocalSocket[] = {
    {"accept4"}, {"recvmsg"}, {"recvfrom"}, {"sendmsg"}, {"sendto"}, {"shutdown"}, {"getsockopt"},
    {"setsockopt"}, {"getsockname"}, {"getpeername"},
    {"epoll_create1"}, {"epoll_ctl"}, {"epoll_wait"}, {"epoll_pwait"},
    {"epoll_pwait2"}, {"eventfd2"}, {"timerfd_create"}, {"timerfd_settime"},
    {"memfd_create"}, {"ftruncate"}, {"fallocate"},
    {"unlink"}, {"unlinkat"}, {"flock"},
};
// clang-format on

struct Releaser {
  void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Releaser>;

Status allow(const Filter& filter, const AllowedCall& call) {
  const int number = ::seccomp_syscall_resolve_name(call.name);
  if (number == __NR_SCMP_ERROR) {
    return fail(ErrorKind::kInvalid, std::string("unknown system call ") + call.name);
  }
  if (number < 0) return {};  // of another architecture: cannot be called here
  const scmp_arg_cmp condition{call.argument, SCMP_CMP_MASKED_EQ, call.mask, call.value};
  const int problem = ::seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, number,
                                               call.mask == 0 ? 0 : 1, &condition);
  if (problem != 0) return base::fail_errno(-problem, std::string("allow ") + call.name);
  return {};
}

Status install_filter(const SandboxOptions& options, SandboxReport& report) {
  const std::uint32_t forbidden =
      options.on_forbidden == OnForbidden::kKill ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM);
  const Filter filter(::seccomp_init(forbidden));
  if (!filter) return fail(ErrorKind::kLimit, "no memory for a system call filter");
  for (const AllowedCall& call : kBase) FL_TRY_STATUS(allow(filter, call));
  for (const AllowedCall& call : options.calls) FL_TRY_STATUS(allow(filter, call));
  // A thread must not stay behind without the filter; calls by way of another architecture's table
  // end the process too.
  int problem = ::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  if (problem == 0) {
    problem = ::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  }
  if (problem == 0) problem = ::seccomp_load(filter.get());
  report.filtered = problem == 0;
  if (problem != 0) {
    report.notices.push_back(base::Error::from_errno(-problem, "no system call filter").message());
  }
  return {};
}

std::size_t thread_count() {
  std::error_code ignored;
  const std::filesystem::directory_iterator threads("/proc/self/task", ignored);
  return ignored ? 1 : static_cast<std::size_t>(std::distance(begin(threads), end(threads)));
}

void drop_capabilities(SandboxReport& report) {
  if (const std::size_t threads = thread_count(); threads > 1) {
    report.notices.push_back("capabilities of " + std::to_string(threads - 1) +
                             " other threads are kept: they started before the sandbox");
  }
  ::capng_clear(CAPNG_SELECT_ALL);
  // Needs CAP_SETPCAP, so it comes while we may still have that.
  ::capng_apply(CAPNG_SELECT_BOUNDS);
  ::capng_apply(CAPNG_SELECT_AMBIENT);
  ::capng_apply(CAPNG_SELECT_CAPS);
  // What counts is what the kernel says now.
  if (::capng_get_caps_process() != 0) {
    report.notices.emplace_back("capabilities: cannot be read back");
    return;
  }
  report.capabilities_dropped = ::capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE;
  report.bounding_set_dropped = ::capng_have_capabilities(CAPNG_SELECT_BOUNDS) == CAPNG_NONE;
  if (!report.capabilities_dropped) report.notices.emplace_back("capabilities: not all dropped");
  if (!report.bounding_set_dropped) {
    report.notices.emplace_back("capability bounding set kept: no CAP_SETPCAP");
  }
}

}  // namespace

std::span<const AllowedCall> base_calls() { return kBase; }
std::span<const AllowedCall> local_socket_calls() { return kLocalSocket; }

Result<SandboxReport> enter_sandbox(const SandboxOptions& options) {
  SandboxReport report;
  if (options.capabilities) drop_capabilities(report);
  report.no_new_privileges = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  if (!report.no_new_privileges) report.notices.emplace_back("PR_SET_NO_NEW_PRIVS is refused");
  if (!options.keep_dumpable && ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    report.notices.emplace_back("PR_SET_DUMPABLE is refused");
  }
  if (!options.filter) return report;
  if (base::kSanitized) {
    report.notices.emplace_back("no system call filter: this is a sanitizer build");
    return report;
  }
  FL_TRY_STATUS(install_filter(options, report));
  return report;
}

}  // namespace fairlead::daemon
