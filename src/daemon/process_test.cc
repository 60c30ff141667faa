// SPDX-License-Identifier: Apache-2.0
//
// Each case starts a real daemon: this test is the user, a child of it is the starter.
#include "daemon/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include <gtest/gtest.h>

namespace fairlead::daemon {
namespace {

using base::Error;
using base::ErrorKind;
using base::Fd;

std::string read_all(const Fd& fd) {
  std::string all;
  std::array<char, 1024> buffer;
  for (ssize_t got; (got = ::read(fd.get(), buffer.data(), buffer.size())) > 0;) {
    all.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return all;
}

std::string file_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

struct Pipe {
  Pipe() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    read.reset(fds[0]);
    write.reset(fds[1]);
  }
  Fd read;
  Fd write;
};

class ProcessTest : public ::testing::Test {
 protected:
  struct Outcome {
    int status = -1;
    std::string out;
    std::string err;
  };

  void SetUp() override {
    std::string pattern = "/tmp/fl-process-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    log_ = folder_ + "/disk.log";
    ::unsetenv("NOTIFY_SOCKET");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Starts a daemon that does `body`; comes back when the starter has ended.  Its output ends then
  // only if the daemon has let go of what it inherited.
  Outcome start(const std::function<void(Readiness&)>& body) {
    Pipe out;
    Pipe err;
    std::fflush(nullptr);
    const pid_t starter = ::fork();
    if (starter == 0) {
      starter_ = ::getpid();
      ::dup2(out.write.get(), 1);
      ::dup2(err.write.get(), 2);
      ::fcntl(out.write.get(), F_SETFD, 0);
      std::fputs(preface_.c_str(), stdout);
      const int kept[] = {life_.write.get()};
      auto daemon =
          detach({.program = "serve", .log_path = log_, .keep_fds = kept, .session = session_});
      if (!daemon) ::_exit(3);
      body(*daemon);
      {
        const Readiness ended = *std::move(daemon);
      }
      ::_exit(0);
    }
    out.write.reset();
    err.write.reset();
    life_.write.reset();
    Outcome outcome;
    outcome.out = read_all(out.read);
    outcome.err = read_all(err.read);
    int status = 0;
    ::waitpid(starter, &status, 0);
    outcome.status = WEXITSTATUS(status);
    return outcome;
  }

  // In the daemon.
  void say(std::string_view text) {
    if (::write(life_.write.get(), text.data(), text.size()) < 0) ::_exit(9);
  }

  // Waits until the daemon has ended; what it said.
  std::string last_words() { return read_all(life_.read); }

  std::string folder_;
  std::string log_;
  Pipe life_;
  pid_t starter_ = 0;
  std::string preface_;  // what the starter has printed, perhaps not yet written
  Session session_ = Session::kOwn;
};

TEST_F(ProcessTest, StarterEndsWhenTheDaemonIsReadyAndTheDaemonGoesOn) {
  Pipe go;
  const auto outcome = start([&](Readiness& readiness) {
    ASSERT_TRUE(readiness.ready("serving disk1.img"));
    // `go` was not kept: it is closed here, and the test's end alone is open.
    const char answer = ::fcntl(go.read.get(), F_GETFD) < 0 ? 'c' : 'o';
    say({&answer, 1});
  });
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, "serving disk1.img\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(last_words(), "c");
}

TEST_F(ProcessTest, FailureIsOneLineAndExitOne) {
  const auto outcome = start([](Readiness& readiness) {
    ::_exit(readiness.failed(Error::from_errno(ENOENT, "open disk1.img")));
  });
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "serve: open disk1.img: No such file or directory\n");
}

TEST_F(ProcessTest, DeathBeforeReadyIsExplained) {
  const auto outcome = [&](const std::function<void()>& end) {
    life_ = Pipe();
    const auto got = start([&](Readiness&) { end(); });
    EXPECT_EQ(got.status, 1);
    return got.err;
  };
  EXPECT_EQ(outcome([] { ::raise(SIGKILL); }),
            "serve: the daemon died before it was ready: killed by signal 9 (Killed) (see " + log_ +
                ")\n");
  EXPECT_EQ(outcome([] { ::_exit(7); }),
            "serve: the daemon died before it was ready: exit status 7 (see " + log_ + ")\n");
  EXPECT_EQ(outcome([] {}), "serve: the daemon ended without being ready\n");
}

TEST_F(ProcessTest, DaemonHasLeftEverythingBehind) {
  ::signal(SIGUSR1, SIG_IGN);
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  const int leaked = ::open("/dev/zero", O_RDONLY);
  ::fcntl(leaked, F_DUPFD, 500);
  const auto outcome = start([&](Readiness& readiness) {
    std::ostringstream facts;
    facts << (::getsid(0) != ::getpid() && ::getsid(0) == ::getpgrp() ? "" : "session ");
    facts << (std::filesystem::current_path() == "/" ? "" : "cwd ");
    facts << (::umask(0) == 077 ? "" : "umask ");
    facts << (std::filesystem::read_symlink("/proc/self/fd/0") == "/dev/null" ? "" : "stdin ");
    for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const auto target = std::filesystem::read_symlink(fd, gone).string();
      if (target == "/dev/zero") facts << "leak ";
    }
    struct sigaction action{};
    ::sigaction(SIGUSR1, nullptr, &action);
    sigset_t mask;
    ::sigprocmask(SIG_SETMASK, nullptr, &mask);
    facts << (action.sa_handler == SIG_DFL ? "" : "disposition ");
    facts << (::sigismember(&mask, SIGTERM) == 0 ? "" : "mask ");
    const std::string text = facts.str() + "checked";
    static_cast<void>(readiness.ready(""));
    say(text);
  });
  ::signal(SIGUSR1, SIG_DFL);
  ::sigprocmask(SIG_UNBLOCK, &blocked, nullptr);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(last_words(), "checked");
}

TEST_F(ProcessTest, DaemonMayStayInTheStartersSession) {
  session_ = Session::kStarters;
  const pid_t ours = ::getsid(0);
  const auto outcome = start([&](Readiness& readiness) {
    std::ostringstream facts;
    facts << (::getsid(0) == ours ? "" : "session ");
    facts << (::getpgrp() != ::getpgid(starter_) && ::getpgrp() != ::getpid() ? "" : "group ");
    facts << (::open("/dev/tty", O_RDONLY) < 0 ? "" : "terminal ");
    const std::string text = facts.str() + "checked";
    static_cast<void>(readiness.ready(""));
    say(text);
  });
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(last_words(), "checked");
}

TEST_F(ProcessTest, LogIsPrivateAndStartsEmpty) {
  std::ofstream(log_) << "of last week";
  ASSERT_EQ(::chmod(log_.c_str(), 0666), 0);
  preface_ = "the starter's";
  const auto outcome = start([](Readiness& readiness) {
    static_cast<void>(readiness.ready(""));
    std::fprintf(stderr, "to stderr\n");
    std::fprintf(stdout, "to stdout\n");
    std::fflush(stdout);
  });
  last_words();
  EXPECT_EQ(outcome.out, "the starter's");
  EXPECT_EQ(file_text(log_), "to stderr\nto stdout\n");
  struct stat found{};
  ASSERT_EQ(::stat(log_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600U);
}

TEST_F(ProcessTest, LogThatCannotBeOpenedFailsBeforeAnythingHappens) {
  log_ = folder_ + "/none/disk.log";
  EXPECT_EQ(start([](Readiness&) {}).status, 3);
  EXPECT_EQ(last_words(), "");
}

TEST_F(ProcessTest, ReadyKnowsWhenNobodyWaitsAnyMore) {
  const auto outcome = start([&](Readiness& readiness) {
    // The starter is the subreaper, so it is the parent once the session leader has ended.
    while (::getppid() != starter_) ::sched_yield();
    ::kill(starter_, SIGKILL);
    // Gone only when the last of its threads is, which a sanitizer may have made, and with it its
    // descriptors: we have another parent before that.
    while (::kill(starter_, 0) == 0) ::sched_yield();
    const auto said = readiness.ready("too late");
    const std::string text = said ? "heard" : std::string(name(said.error().kind()));
    say(text);
  });
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(last_words(), "closed");
}

TEST_F(ProcessTest, ForegroundSpeaksForItself) {
  auto readiness = stay_in_foreground("serve");
  ASSERT_TRUE(readiness);
  ::testing::internal::CaptureStdout();
  EXPECT_TRUE(readiness->ready("serving"));
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "serving\n");
  ::testing::internal::CaptureStderr();
  auto other = stay_in_foreground("serve");
  EXPECT_EQ(other->failed({ErrorKind::kIo, "no disk"}), 1);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "serve: no disk\n");
}

// A manager's socket, by path or abstract name.
class NotifyTest : public ::testing::TestWithParam<bool> {};

TEST_P(NotifyTest, ManagerHears) {
  const std::string path = "/tmp/fl-notify-" + std::to_string(::getpid());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (GetParam()) address.sun_path[0] = '\0';
  const Fd manager(::socket(AF_UNIX, SOCK_DGRAM, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ::setenv("NOTIFY_SOCKET", (GetParam() ? "@" + path.substr(1) : path).c_str(), 1);
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  const auto hear = [&] {
    std::array<char, 256> buffer;
    const ssize_t got = ::recv(manager.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    return got < 0 ? std::string("nothing")
                   : std::string(buffer.data(), static_cast<std::size_t>(got));
  };
  auto readiness = stay_in_foreground("serve");
  ASSERT_TRUE(readiness) << readiness.error().message();
  EXPECT_EQ(hear(), "nothing");
  EXPECT_TRUE(readiness->ready(""));
  EXPECT_EQ(hear(), "READY=1");
  EXPECT_EQ(readiness->notifier().watchdog_ns(), 15'000'000'000);
  EXPECT_TRUE(readiness->notifier().send("STOPPING=1"));
  EXPECT_EQ(hear(), "STOPPING=1");
  for (const char* nonsense : {"-1", "0", "often", "9223372036854775807"}) {
    ::setenv("WATCHDOG_USEC", nonsense, 1);
    EXPECT_EQ(Notifier::from_environment()->watchdog_ns(), 0) << nonsense;
  }
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(Notifier::from_environment()->watchdog_ns(), 0) << "meant for another process";
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  ::unlink(path.c_str());
}

INSTANTIATE_TEST_SUITE_P(Names, NotifyTest, ::testing::Bool());

TEST(Notifier, WithoutAManagerNothingHappens) {
  ::unsetenv("NOTIFY_SOCKET");
  const auto notifier = Notifier::from_environment();
  ASSERT_TRUE(notifier);
  EXPECT_FALSE(notifier->listening());
  EXPECT_TRUE(notifier->send("READY=1"));
  ::setenv("NOTIFY_SOCKET", "relative", 1);
  EXPECT_EQ(Notifier::from_environment().error().kind(), ErrorKind::kInvalid);
  ::unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace fairlead::daemon
