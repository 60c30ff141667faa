// SPDX-License-Identifier: Apache-2.0
#include "daemon/log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <regex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/fd.h"

namespace fairlead::daemon {
namespace {

class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(::pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    read_.reset(fds[0]);
    write_.reset(fds[1]);
  }

  LogOptions options() const { return {.fd = write_.get(), .interval_ns = 100, .journal = true}; }

  std::string said() {
    std::string all;
    std::array<char, 4096> buffer;
    for (ssize_t got; (got = ::read(read_.get(), buffer.data(), buffer.size())) > 0;) {
      all.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return all;
  }

  base::ManualClock clock_;
  base::Fd read_;
  base::Fd write_;
};

TEST_F(LogTest, TimeAndLevelOnATerminalPriorityInTheJournal) {
  auto plain = options();
  plain.journal = false;
  Log(clock_, plain).write(Level::kWarning, "disk is slow");
  const std::regex form(
      R"(20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{6}Z warning disk is slow\n)");
  const std::string line = said();
  EXPECT_TRUE(std::regex_match(line, form)) << line;
  Log(clock_, options()).write(Level::kWarning, "disk is slow");
  EXPECT_EQ(said(), "<4>disk is slow\n");
}

TEST_F(LogTest, WhatIsLessUrgentIsDropped) {
  Log log(clock_, options());
  log.write(Level::kDebug, "detail");
  log.limited(Level::kDebug, "k", "detail");
  log.write(Level::kInfo, "fact");
  EXPECT_EQ(said(), "<6>fact\n");
}

TEST_F(LogTest, NamesOfClientsCannotForgeLines) {
  Log(clock_, options()).write(Level::kInfo, "client a\n<0>kernel panic\x1b[2J\x7f joined");
  EXPECT_EQ(said(), "<6>client a?<0>kernel panic?[2J? joined\n");
}

TEST_F(LogTest, RepeatsAreCountedNotShown) {
  {
    Log log(clock_, options());
    for (int i = 0; i < 50; ++i) log.limited(Level::kWarning, "user 7", "fault of user 7");
    log.limited(Level::kWarning, "user 8", "fault of user 8");
    EXPECT_EQ(said(), "<4>fault of user 7\n<4>fault of user 8\n");
    clock_.advance_ns(99);
    log.limited(Level::kWarning, "user 7", "fault of user 7");
    EXPECT_EQ(said(), "");
    clock_.advance_ns(1);
    log.limited(Level::kWarning, "user 7", "fault of user 7");
    EXPECT_EQ(said(), "<4>fault of user 7 (and 50 times more, not shown)\n");
    log.limited(Level::kWarning, "user 7", "fault of user 7");
  }
  EXPECT_EQ(said(), "<4>user 7 (and 1 times more, not shown)\n") << "nothing is lost at the end";
}

TEST_F(LogTest, NoKeyIsSilencedByOthers) {
  Log log(clock_, options());
  for (std::size_t i = 0; i < 3 * Log::kMaxKeys; ++i) {
    const std::string text = "x" + std::to_string(i);
    log.limited(Level::kInfo, text, text);
    log.limited(Level::kInfo, text, text);
    ASSERT_NE(said().find("<6>" + text + "\n"), std::string::npos) << i;
  }
}

TEST_F(LogTest, WhatAForgottenKeyLeftOutIsSaid) {
  Log log(clock_, options());
  std::string all;
  for (std::size_t i = 0; i < 2 * Log::kMaxKeys; ++i) {
    for (int times = 0; times < 3; ++times) {
      log.limited(Level::kInfo, "key " + std::to_string(i), "x");
    }
    all += said();
  }
  std::size_t told = 0;
  for (std::size_t at = 0; (at = all.find("(and 2 times more", at)) != std::string::npos; ++at) {
    ++told;
  }
  EXPECT_EQ(told, Log::kMaxKeys);
}

TEST_F(LogTest, AFullPipeIsNotWaitedForAndWhatIsLostIsCounted) {
  ASSERT_EQ(::fcntl(write_.get(), F_SETFL, 0), 0);  // blocking: a write would hang
  const std::string text(500, 'x');
  constexpr std::size_t kLines = 1000;
  std::size_t seen = 0;
  Log log(clock_, options());
  for (std::size_t i = 0; i < kLines; ++i) log.write(Level::kInfo, text);
  for (std::string part = said(); !part.empty(); part = said()) {
    seen += static_cast<std::size_t>(std::count(part.begin(), part.end(), '\n'));
  }
  ASSERT_LT(seen, kLines);
  log.write(Level::kInfo, "again");
  EXPECT_EQ(said(), "<4>" + std::to_string(kLines - seen) +
                        " lines before this one are lost: nobody read them\n<6>again\n");
}

TEST_F(LogTest, ALineIsCutBeforeItCouldFillAPipeByHalves) {
  Log log(clock_, options());
  log.write(Level::kInfo, std::string(100'000, 'x'));
  EXPECT_LT(said().size(), std::size_t{PIPE_BUF});
}

TEST_F(LogTest, ThreadsDoNotMixTheirLines) {
  Log log(clock_, options());
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) log.write(Level::kInfo, "abcdefghijklmnopqrstuvwxyz");
      });
    }
  }
  std::string expected;
  for (int i = 0; i < 200; ++i) expected += "<6>abcdefghijklmnopqrstuvwxyz\n";
  EXPECT_EQ(said(), expected);
}

TEST_F(LogTest, JournalIsKnownByItsStream) {
  struct stat here{};
  ASSERT_EQ(::fstat(write_.get(), &here), 0);
  const std::string stream = std::to_string(here.st_dev) + ":" + std::to_string(here.st_ino);
  ::setenv("JOURNAL_STREAM", stream.c_str(), 1);
  EXPECT_TRUE(is_journal(write_.get()));
  EXPECT_FALSE(is_journal(0));
  ::unsetenv("JOURNAL_STREAM");
  EXPECT_FALSE(is_journal(write_.get()));
}

}  // namespace
}  // namespace fairlead::daemon
