// SPDX-License-Identifier: Apache-2.0
#include "daemon/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include <gtest/gtest.h>

namespace fairlead::daemon {
namespace {

// In a child, because what Signals does to a process stays.  0: `body` was true.
int in_child(const std::function<bool(Signals&, base::ManualClock&)>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    base::ManualClock clock;
    auto signals = Signals::take(clock);
    ::_exit(signals && body(*signals, clock) ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

bool waits(const Signals& signals) {
  pollfd work{signals.fd(), POLLIN, 0};
  return ::poll(&work, 1, 0) == 1;
}

TEST(Signals, FirstDrainsSecondForces) {
  for (const int first : {SIGTERM, SIGINT}) {
    EXPECT_EQ(in_child([&](Signals& signals, base::ManualClock& clock) {
                if (waits(signals) || signals.next() != Wish::kNone) return false;
                ::kill(::getpid(), first);
                if (!waits(signals) || signals.next() != Wish::kDrain) return false;
                if (signals.next() != Wish::kNone) return false;
                clock.advance_ns(Signals::kTogetherNs);
                ::kill(::getpid(), SIGTERM);
                return signals.next() == Wish::kForce && signals.next() == Wish::kNone;
              }),
              0);
  }
}

TEST(Signals, TwoAtTheSameMomentAreOne) {
  EXPECT_EQ(in_child([](Signals& signals, base::ManualClock& clock) {
              ::kill(::getpid(), SIGINT);
              if (signals.next() != Wish::kDrain) return false;
              ::kill(::getpid(), SIGINT);
              if (!waits(signals) || signals.next() != Wish::kNone) return false;
              clock.advance_ns(Signals::kTogetherNs - 1);
              ::kill(::getpid(), SIGTERM);
              if (signals.next() != Wish::kNone) return false;
              clock.advance_ns(1);
              ::kill(::getpid(), SIGINT);
              return signals.next() == Wish::kForce;
            }),
            0);
}

TEST(Signals, HangUpOfTheTerminalIsAWishAndDoesNotCount) {
  EXPECT_EQ(in_child([](Signals& signals, base::ManualClock&) {
              ::kill(::getpid(), SIGHUP);
              if (signals.next() != Wish::kReload) return false;
              ::kill(::getpid(), SIGTERM);
              return signals.next() == Wish::kDrain;
            }),
            0);
}

TEST(Signals, ThreadsStartedLaterAreNotInterrupted) {
  EXPECT_EQ(in_child([](Signals& signals, base::ManualClock&) {
              std::jthread([] { ::pthread_kill(::pthread_self(), SIGPIPE); }).join();
              std::jthread([] { ::kill(::getpid(), SIGTERM); }).join();
              return signals.next() == Wish::kDrain;
            }),
            0);
}

}  // namespace
}  // namespace fairlead::daemon
