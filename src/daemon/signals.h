// SPDX-License-Identifier: Apache-2.0
//
// Signals: SIGTERM, SIGINT and SIGHUP as events of a loop; SIGPIPE ignored.
//
// Thread-safety: take() in main before any thread starts, so that all inherit the blocked mask;
// next() on one thread.  Ownership: the descriptor; the mask stays as it is at the end, because a
// signal that arrives during a drain must not kill.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace fairlead::daemon {

enum class Wish : std::uint8_t {
  kNone,
  kDrain,   // the first SIGTERM or SIGINT: finish what is accepted, then end
  kForce,   // a later one: end now
  kReload,  // SIGHUP
};

class Signals {
 public:
  // What comes this soon after the first is the same wish: timeout(1) signals a process, then its
  // group, and who stops a service signals every process of it.
  static constexpr std::int64_t kTogetherNs = 300 * base::kNanosPerMilli;

  // `clock` must outlive it.
  static base::Result<Signals> take(const base::Clock& clock = system_clock());

  // The next wish that waits; kNone if none does, or the same once more.
  Wish next();
  int fd() const noexcept { return file_.get(); }  // readable while a signal waits
  int number() const noexcept { return number_; }  // of the first SIGTERM or SIGINT; 0: none yet

 private:
  static const base::Clock& system_clock();
  Signals(base::Fd file, const base::Clock& clock) noexcept
      : file_(std::move(file)), clock_(&clock) {}
  base::Fd file_;
  const base::Clock* clock_;
  int number_ = 0;
  std::int64_t first_ns_ = 0;  // when it came
};

}  // namespace fairlead::daemon
