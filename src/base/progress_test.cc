// SPDX-License-Identifier: Apache-2.0
//
// On a real terminal: a pseudo-terminal whose other end the test reads.
#include "base/progress.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <pty.h>

#include "base/fd.h"
#include "base/terminal.h"

namespace fairlead::base {
namespace {

class ProgressOnATerminal : public ::testing::Test {
 protected:
  ProgressOnATerminal() {
    remember("TERM");
    remember("NO_COLOR");
    ::setenv("TERM", "xterm", 1);
    ::setenv("NO_COLOR", "1", 1);
    const winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    int ends[2];
    if (::openpty(&ends[0], &ends[1], nullptr, nullptr, &size) != 0) std::abort();
    screen_ = Fd(ends[0]);
    terminal_ = Fd(ends[1]);
    ::fcntl(screen_.get(), F_SETFL, O_NONBLOCK);
  }
  ~ProgressOnATerminal() override {
    for (const auto& [name, value] : before_) {
      if (value) {
        ::setenv(name.c_str(), value->c_str(), 1);
      } else {
        ::unsetenv(name.c_str());
      }
    }
  }

  void remember(const char* name) {
    const char* value = std::getenv(name);
    before_.emplace_back(name, value == nullptr ? std::nullopt : std::optional<std::string>(value));
  }

  Progress start(std::uint64_t total, Progress::Unit unit = Progress::Unit::kCount) {
    return Progress("copy", total, done_, clock_, unit, terminal_.get());
  }

  // What appeared since the last call.
  std::string screen() {
    std::string text(65536, '\0');
    const ssize_t got = ::read(screen_.get(), text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }

  std::atomic<std::uint64_t> done_{0};
  ManualClock clock_;
  Fd screen_;
  Fd terminal_;
  std::vector<std::pair<std::string, std::optional<std::string>>> before_;
};

TEST_F(ProgressOnATerminal, DrawsAtMostTenTimesASecond) {
  Progress progress = start(200);
  int drawings = 0;
  for (int ms = 0; ms < 1000; ++ms) {
    progress.tick();
    drawings += screen().empty() ? 0 : 1;
    clock_.advance_ns(kNanosPerMilli);
  }
  EXPECT_EQ(drawings, 9);  // from 100 ms to 900 ms
}

TEST_F(ProgressOnATerminal, SaysHowFarAndHowLongStill) {
  Progress progress = start(200);
  done_ = 50;
  clock_.advance_ns(2 * kNanosPerSecond);
  progress.tick();
  EXPECT_EQ(
      screen(),
      "\rcopy  [##########..............................]   25%  50 of 200  6.00 s left\x1b[K");
  done_ = 500;  // more than announced
  clock_.advance_ns(kNanosPerSecond);
  progress.tick();
  EXPECT_NE(screen().find("100%  200 of 200"), std::string::npos);
}

TEST_F(ProgressOnATerminal, CountsWhereTheEndIsNotKnown) {
  Progress progress = start(0, Progress::Unit::kBytes);
  done_ = 3 << 20;
  clock_.advance_ns(kNanosPerSecond);
  progress.tick();
  EXPECT_EQ(screen(), "\rcopy  3.00 MiB\x1b[K");
}

TEST_F(ProgressOnATerminal, ClearsItsLineOnlyIfItDrewOne) {
  {
    Progress progress = start(200);
    progress.tick();
  }
  EXPECT_EQ(screen(), "");
  {
    Progress progress = start(200);
    clock_.advance_ns(kNanosPerSecond);
    progress.tick();
    screen();
  }
  EXPECT_EQ(screen(), "\r\x1b[K");
}

TEST_F(ProgressOnATerminal, FitsANarrowTerminal) {
  for (const std::uint16_t columns : std::to_array<std::uint16_t>({1, 10, 30, 45, 300})) {
    const winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(::ioctl(terminal_.get(), TIOCSWINSZ, &size), 0);
    Progress progress = start(200);
    done_ = 100;
    clock_.advance_ns(kNanosPerSecond);
    progress.tick();
    EXPECT_LT(screen().size() - sizeof "\r\x1b[K" + 1, columns);
    progress.clear();
    screen();
  }
}

TEST_F(ProgressOnATerminal, ColoursUnlessNoColorSaysNot) {
  ::unsetenv("NO_COLOR");
  Progress progress = start(200);
  clock_.advance_ns(kNanosPerSecond);
  progress.tick();
  EXPECT_NE(screen().find("\x1b[32m"), std::string::npos);
  ::setenv("NO_COLOR", "", 1);
  EXPECT_TRUE(may_colour(terminal_.get()));
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(may_colour(terminal_.get()));
}

TEST_F(ProgressOnATerminal, IsSilentOnADumbTerminalAndIntoAPipe) {
  ::setenv("TERM", "dumb", 1);
  {
    Progress progress = start(200);
    clock_.advance_ns(kNanosPerSecond);
    progress.tick();
  }
  EXPECT_EQ(screen(), "");
  ::setenv("TERM", "xterm", 1);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  const Fd reader(ends[0]);
  const Fd writer(ends[1]);
  {
    Progress progress("copy", 200, done_, clock_, Progress::Unit::kCount, writer.get());
    clock_.advance_ns(kNanosPerSecond);
    progress.tick();
  }
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), -1);
  EXPECT_EQ(terminal_columns(writer.get()), 80);
}

TEST_F(ProgressOnATerminal, ManyThreadsDrawOneLine) {
  Progress progress = start(4000);
  clock_.advance_ns(kNanosPerSecond);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) {
        done_.fetch_add(1, std::memory_order_relaxed);
        progress.tick();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const std::string text = screen();
  EXPECT_EQ(std::ranges::count(text, '\r'), 1);
}

}  // namespace
}  // namespace fairlead::base
