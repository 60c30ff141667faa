// SPDX-License-Identifier: Apache-2.0
#include "daemon/signals.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace fairlead::daemon {

base::Result<Signals> Signals::take(const base::Clock& clock) {
  sigset_t wanted;
  ::sigemptyset(&wanted);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&wanted, number);
  if (const int problem = ::pthread_sigmask(SIG_BLOCK, &wanted, nullptr); problem != 0) {
    return base::fail_errno(problem, "block signals");
  }
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  if (::sigaction(SIGPIPE, &ignore, nullptr) != 0) {
    return base::fail_errno(errno, "ignore SIGPIPE");
  }
  base::Fd file(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!file) return base::fail_errno(errno, "make a signalfd");
  return Signals(std::move(file), clock);
}

const base::Clock& Signals::system_clock() {
  static const base::SystemClock clock;
  return clock;
}

Wish Signals::next() {
  signalfd_siginfo info;
  ssize_t got = -1;
  do got = ::read(file_.get(), &info, sizeof info);
  while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof info)) return Wish::kNone;
  if (info.ssi_signo == SIGHUP) return Wish::kReload;
  const std::int64_t now_ns = clock_->now_ns();
  if (number_ != 0) return now_ns - first_ns_ < kTogetherNs ? Wish::kNone : Wish::kForce;
  number_ = static_cast<int>(info.ssi_signo);
  first_ns_ = now_ns;
  return Wish::kDrain;
}

}  // namespace fairlead::daemon
