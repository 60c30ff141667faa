// SPDX-License-Identifier: Apache-2.0
//
// Signals: SIGTERM, SIGINT and SIGHUP as events of a loop; SIGPIPE ignored.
//
// Thread-safety: take() in main before any thread starts, so that all inherit the blocked mask;
// next() on one thread.  Ownership: the descriptor; the mask stays as it is at the end, because a
// signal that arrives during a drain must not kill.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::daemon {

enum class Wish : std::uint8_t {
  kNone,
  kDrain,   // the first SIGTERM or SIGINT: finish what is accepted, then end
  kForce,   // a second one: end now
  kReload,  // SIGHUP
};

class Signals {
 public:
  static base::Result<Signals> take();

  // The next wish that waits; kNone if none does.
  Wish next();
  int fd() const noexcept { return file_.get(); }  // readable while a wish waits

 private:
  explicit Signals(base::Fd file) noexcept : file_(std::move(file)) {}
  base::Fd file_;
  bool draining_ = false;
};

}  // namespace fairlead::daemon
