// SPDX-License-Identifier: Apache-2.0
//
// Running a tool of the system (apt-get, dpkg-deb, xz) to its end, with a time limit.
//
// No shell, stdin is /dev/null, LC_ALL is C.UTF-8.  Of each output the first kMostOutput bytes are
// kept.
//
// Thread-safety: any thread.  The child is gone when this returns; at the limit it is killed, with
// what it started (its process group).
// Errors: kNotFound if there is no such program, kTimeout, kIo if it failed (its last line is in
// the message).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace fairlead::guest {

inline constexpr std::size_t kMostOutput = 8 << 20;

struct SubprocessOptions {
  std::string folder = {};  // to run in; empty: ours
  std::string output = {};  // file that takes stdout, created; empty: it is returned
  std::string input = {};   // file for stdin
  std::int64_t timeout_ns = 300 * base::kNanosPerSecond;
};

// Its stdout, if it ended with 0.
base::Result<std::string> run_tool(const std::vector<std::string>& command,
                                   const SubprocessOptions& options = {});

}  // namespace fairlead::guest
