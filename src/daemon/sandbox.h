// SPDX-License-Identifier: Apache-2.0
//
// What a daemon gives up after its start: capabilities, the way to new privileges, and every system
// call that its work does not need.
//
// Thread-safety: once, in main, when all descriptors are open.  The filter reaches all threads
// (TSYNC), but Linux keeps capabilities per thread: drop them before other threads start, or the
// report says so.  A filtered process starts no thread or process any more.
// Errors: kInvalid for a system call that nobody knows.  What this kernel or container does not
// let us give up is no error: it stands in SandboxReport::notices, for the log.
// Limit: io_uring operations pass no filter; who may call io_uring_enter can open and connect with
// it.  What the unit file takes away (files, network) is therefore taken as well.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace fairlead::daemon {

// A system call that stays allowed; with `mask`, only when (argument & mask) == value.
struct AllowedCall {
  const char* name;
  unsigned argument = 0;
  std::uint64_t mask = 0;
  std::uint64_t value = 0;
};

// What the C++ runtime, malloc, futexes, clocks, signals, the end of threads and of the process,
// and writing to open files need.  Files may be opened for reading only, memory not be made
// executable.
std::span<const AllowedCall> base_calls();

// What serving a Unix socket that is open already needs: accept, messages with descriptors, epoll,
// eventfd, sealed memfds; removing its path and the lock at the end.
std::span<const AllowedCall> local_socket_calls();

enum class OnForbidden : std::uint8_t {
  kKill,  // the whole process, SIGSYS
  kDeny,  // the call fails with EPERM
};

struct SandboxOptions {
  std::vector<AllowedCall> calls = {};  // besides base_calls()
  OnForbidden on_forbidden = OnForbidden::kKill;
  bool capabilities = true;   // false: they were dropped before the threads started
  bool filter = true;         // system calls; never in a sanitizer build, with a notice
  bool keep_dumpable = true;  // false: no core dumps, no ptrace by the same user
};

struct SandboxReport {
  bool no_new_privileges = false;
  bool capabilities_dropped = false;  // those in force and those to be had
  bool bounding_set_dropped = false;
  bool filtered = false;
  std::vector<std::string> notices;
};

base::Result<SandboxReport> enter_sandbox(const SandboxOptions& options);

}  // namespace fairlead::daemon
