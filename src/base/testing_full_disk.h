// SPDX-License-Identifier: Apache-2.0
//
// For tests: while it lives, no file of this process can grow beyond a size.
#pragma once

#include <signal.h>
#include <sys/resource.h>

#include <cstdlib>

namespace fairlead::base {

class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : old_handler_(::signal(SIGXFSZ, SIG_IGN)) {
    if (::getrlimit(RLIMIT_FSIZE, &old_) != 0) std::abort();
    const rlimit small{bytes, old_.rlim_max};
    if (::setrlimit(RLIMIT_FSIZE, &small) != 0) std::abort();
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, old_handler_);
  }

 private:
  sighandler_t old_handler_;
  rlimit old_{};
};

}  // namespace fairlead::base
