// SPDX-License-Identifier: Apache-2.0
//
// Notifier: the words of a service to its manager, sd_notify(3) without the library: datagrams to
// $NOTIFY_SOCKET (a path, or '@' and an abstract name).  Without that variable everything is a
// no-op.
//
// Thread-safety: send() from any thread.  Connected at the start, so that it works inside a sandbox
// that forbids socket(2).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::daemon {

class Notifier {
 public:
  Notifier() = default;  // nobody listens
  static base::Result<Notifier> from_environment();

  // "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=…"; several separated by newlines.  kBusy if the
  // manager does not read; never waits.
  base::Status send(std::string_view state) const;

  bool listening() const noexcept { return static_cast<bool>(socket_); }
  int fd() const noexcept { return socket_.get(); }
  // How often to send WATCHDOG=1: half of what the manager allows; 0: it does not ask.
  std::int64_t watchdog_ns() const noexcept { return watchdog_ns_; }

 private:
  base::Fd socket_;
  std::int64_t watchdog_ns_ = 0;
};

}  // namespace fairlead::daemon
