// SPDX-License-Identifier: Apache-2.0
#include "daemon/end_watch.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>

#include <gtest/gtest.h>

namespace fairlead::daemon {
namespace {

// Each in a process of its own: signals and their mask are the process's.
class EndWatchTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

std::unique_ptr<EndWatch> started(std::int64_t patience_ns) {
  auto watch = EndWatch::start("prog", patience_ns);
  if (!watch) std::_Exit(9);
  return *std::move(watch);
}

bool told_within(const EndWatch& watch, int limit_ms) {
  pollfd one{.fd = watch.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, limit_ms) > 0;
}

void ends_by_itself(int number) {
  const auto watch = started(20 * base::kNanosPerSecond);
  if (watch->asked() || watch->number() != 0) std::_Exit(8);
  ::kill(::getpid(), number);
  const bool told = told_within(*watch, 20'000) && watch->asked();
  std::_Exit(told && watch->number() == number ? 0 : 7);
}

TEST_F(EndWatchTest, TellsTheLoop) {
  EXPECT_EXIT(ends_by_itself(SIGTERM), testing::ExitedWithCode(0), "^$");
  EXPECT_EXIT(ends_by_itself(SIGINT), testing::ExitedWithCode(0), "^$");
}

TEST_F(EndWatchTest, EndsAProcessWhoseLoopDoesNot) {
  const auto stuck = [] {
    const auto watch = started(base::kNanosPerSecond / 20);
    ::kill(::getpid(), SIGTERM);
    for (;;) ::pause();
  };
  EXPECT_EXIT(stuck(), testing::ExitedWithCode(1), "^prog: ended .*did not answer");
}

TEST_F(EndWatchTest, ALaterSignalEndsAtOnce) {
  const auto stuck = [] {
    const auto watch = started(3600 * base::kNanosPerSecond);
    ::kill(::getpid(), SIGTERM);
    if (!told_within(*watch, 20'000)) std::_Exit(7);
    for (;; ::usleep(20'000)) ::kill(::getpid(), SIGTERM);
  };
  EXPECT_EXIT(stuck(), testing::ExitedWithCode(1), "^prog: ended .*second signal");
}

TEST_F(EndWatchTest, TwoAtTheSameMomentAreOneWish) {
  const auto patient = [] {
    {
      const auto watch = started(3600 * base::kNanosPerSecond);
      ::kill(::getpid(), SIGINT);
      if (!told_within(*watch, 20'000)) std::_Exit(7);
      ::kill(::getpid(), SIGINT);
      ::usleep(50'000);
    }
    std::_Exit(0);
  };
  EXPECT_EXIT(patient(), testing::ExitedWithCode(0), "^$");
}

TEST_F(EndWatchTest, WhoHasEndedInTimeIsLeftAlone) {
  const auto prompt = [] {
    {
      const auto watch = started(base::kNanosPerSecond / 20);
      ::kill(::getpid(), SIGTERM);
      if (!told_within(*watch, 20'000)) std::_Exit(7);
    }
    ::usleep(150'000);
    std::_Exit(0);
  };
  EXPECT_EXIT(prompt(), testing::ExitedWithCode(0), "^$");
}

}  // namespace
}  // namespace fairlead::daemon
