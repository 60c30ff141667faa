// SPDX-License-Identifier: Apache-2.0
//
// CoreFollower: keeps the calling thread on the core of another, or lets it roam again.
//
// Thread-safety: all calls on one thread, the one that moves.  A system call only when it changes.
// Trust: the core's number may be anything; one that this thread may not use means: roam.
#pragma once

#include <sched.h>

#include <cstdint>

namespace fairlead::block {

class CoreFollower {
 public:
  void start() noexcept {
    if (::sched_getaffinity(0, sizeof home_, &home_) != 0) CPU_ZERO(&home_);
  }

  // `core`: 1 + a processor's number, or 0.
  void follow(std::uint16_t core) noexcept {
    if (core == following_) return;
    if (core == 0 || core > CPU_SETSIZE || !CPU_ISSET(core - 1U, &home_)) return roam();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core - 1U, &one);
    if (::sched_setaffinity(0, sizeof one, &one) == 0) following_ = core;
  }

  void roam() noexcept {
    if (following_ == 0) return;
    following_ = 0;
    ::sched_setaffinity(0, sizeof home_, &home_);
  }

 private:
  cpu_set_t home_{};
  std::uint16_t following_ = 0;  // 0: roaming
};

}  // namespace fairlead::block
