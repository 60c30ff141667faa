// SPDX-License-Identifier: Apache-2.0
//
// The lock and the end of its holder, with real processes.
#include "daemon/lock_file.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <new>
#include <sstream>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "daemon/stop.h"

namespace fairlead::daemon {
namespace {

using base::ErrorKind;
using base::kNanosPerMilli;

class LockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/fl-lock-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/disk.lock";
  }
  void TearDown() override {
    for (const pid_t child : children_) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    std::filesystem::remove_all(folder_);
  }

  pid_t run(const std::function<void()>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
      body();
      ::_exit(0);
    }
    children_.push_back(child);
    return child;
  }

  // A process that holds the lock and then does `rest`; returns once it holds.
  pid_t hold(const std::function<void()>& rest) {
    int held[2];
    EXPECT_EQ(::pipe(held), 0);
    const pid_t child = run([&] {
      const auto lock = LockFile::take(path_);
      ::close(held[0]);
      if (lock && ::write(held[1], "x", 1) == 1) rest();
    });
    ::close(held[1]);
    char byte;
    EXPECT_EQ(::read(held[0], &byte, 1), 1);
    ::close(held[0]);
    return child;
  }

  int status_of(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    std::erase(children_, child);
    return status;
  }

  static void wait_for_ever() {
    for (;;) ::pause();
  }

  std::string folder_;
  std::string path_;
  std::vector<pid_t> children_;
};

constexpr Patience kShort{.drain_ns = 20 * kNanosPerMilli,
                          .terminate_ns = 100 * kNanosPerMilli,
                          .kill_ns = 5 * base::kNanosPerSecond};

TEST_F(LockTest, SecondIsToldWhoHolds) {
  const pid_t first = hold(wait_for_ever);
  const auto second = LockFile::take(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kBusy);
  EXPECT_EQ(second.error().message(),
            "already running as process " + std::to_string(first) + ", which holds " + path_);
  const auto holder = LockFile::holder(path_);
  ASSERT_TRUE(holder && *holder && (*holder)->process);
  EXPECT_EQ((*holder)->process->pid, first);
}

TEST_F(LockTest, DeathReleasesACleanEndRemoves) {
  const pid_t first = hold(wait_for_ever);
  ::kill(first, SIGKILL);
  status_of(first);
  EXPECT_TRUE(std::filesystem::exists(path_));
  EXPECT_FALSE(LockFile::holder(path_)->has_value());
  {
    const auto again = LockFile::take(path_);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ((*LockFile::holder(path_))->process->pid, ::getpid());
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_FALSE(LockFile::holder(path_)->has_value());
}

TEST_F(LockTest, ForkedHolderClaimsAndTheOtherDoesNotRemove) {
  auto lock = LockFile::take(path_);
  ASSERT_TRUE(lock);
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  const pid_t daemon = run([&] {
    ::close(go[1]);
    if (!lock->claim()) ::_exit(1);
    char byte;
    if (::read(go[0], &byte, 1) != 0) ::_exit(2);
  });
  while ((*LockFile::holder(path_))->process->pid != daemon) ::sched_yield();
  // The file is the daemon's now.  This process dropping its copy neither removes nor releases.
  run([&] { const LockFile dropped = *std::move(lock); });
  status_of(children_.back());
  EXPECT_TRUE(std::filesystem::exists(path_));
  ::close(go[1]);
  status_of(daemon);
}

// Takers that leave cleanly (and so remove the file) at full speed: never two inside.
TEST_F(LockTest, NeverTwoInsideThoughTheFileComesAndGoes) {
  void* shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* inside = new (shared) std::atomic<int>[3]{};
  for (int p = 0; p < 4; ++p) {
    run([&] {
      for (int taken = 0; taken < 50;) {
        const auto lock = LockFile::take(path_);
        if (!lock) continue;
        if (inside[0].fetch_add(1) != 0) ++inside[1];
        ::sched_yield();
        inside[0].fetch_sub(1);
        ++taken;
        ++inside[2];
      }
    });
  }
  while (!children_.empty()) EXPECT_EQ(status_of(children_.back()), 0);
  EXPECT_EQ(inside[1], 0);
  EXPECT_EQ(inside[2], 200);
  ::munmap(shared, 4096);
}

TEST_F(LockTest, AskingWhoHoldsNeverMakesATakerFail) {
  for (int p = 0; p < 2; ++p) {
    run([&] {
      for (;;) static_cast<void>(LockFile::holder(path_));
    });
  }
  for (int i = 0; i < 200; ++i) {
    const auto lock = LockFile::take(path_);
    ASSERT_TRUE(lock) << i << ": " << lock.error().message();
  }
}

TEST_F(LockTest, ProcessIdIsNotFooledByAReusedPid) {
  const auto self = ProcessId::self();
  ASSERT_TRUE(self);
  EXPECT_TRUE(self->open());
  ProcessId older = *self;
  --older.start_ticks;
  EXPECT_EQ(older.open().error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(ProcessId::parse(self->text() + "\n"), *self);
  for (const char* bad :
       {"", "\n", "12", "12 ", "x 3", "12 x", "-4 3", "0 3", "12 3 4", "12  3", "99999999999 3"}) {
    EXPECT_EQ(ProcessId::parse(bad), std::nullopt) << bad;
  }
}

TEST_F(LockTest, StopOfNothing) {
  EXPECT_EQ(await_end(path_).value(), Ending::kNotRunning);
  std::ofstream(path_) << "1 1\n";
  EXPECT_EQ(await_end(path_).value(), Ending::kNotRunning);
}

TEST_F(LockTest, StopSeesAnEndInTime) {
  const pid_t daemon = hold([] {
    const timespec drain{.tv_sec = 0, .tv_nsec = 20 * kNanosPerMilli};
    ::nanosleep(&drain, nullptr);
  });
  EXPECT_EQ(await_end(path_).value(), Ending::kDrained);
  EXPECT_EQ(status_of(daemon), 0);
}

TEST_F(LockTest, StopTerminatesThenKills) {
  const pid_t deaf = hold(wait_for_ever);
  EXPECT_EQ(await_end(path_, kShort).value(), Ending::kTerminated);
  EXPECT_EQ(WTERMSIG(status_of(deaf)), SIGTERM);
  const pid_t stubborn = hold([] {
    ::signal(SIGTERM, SIG_IGN);
    wait_for_ever();
  });
  EXPECT_EQ(await_end(path_, kShort).value(), Ending::kKilled);
  EXPECT_EQ(WTERMSIG(status_of(stubborn)), SIGKILL);
}

TEST_F(LockTest, StopEndsAStoppedDaemon) {
  for (const bool ignores : {false, true}) {
    const pid_t daemon = hold([&] {
      if (ignores) ::signal(SIGTERM, SIG_IGN);
      ::raise(SIGSTOP);
      wait_for_ever();
    });
    int status = 0;
    ASSERT_EQ(::waitpid(daemon, &status, WUNTRACED), daemon);
    ASSERT_TRUE(WIFSTOPPED(status));
    EXPECT_EQ(await_end(path_, kShort).value(), ignores ? Ending::kKilled : Ending::kTerminated);
    EXPECT_EQ(WTERMSIG(status_of(daemon)), ignores ? SIGKILL : SIGTERM);
  }
}

// The lock is held, but the text in it is that of a dead holder whose pid somebody else has now.
TEST_F(LockTest, StopHitsNobodyElse) {
  const pid_t innocent = run(wait_for_ever);
  hold([&] {
    std::ofstream(path_) << innocent << " 1\n";
    wait_for_ever();
  });
  while (!std::ifstream(path_).good() || std::filesystem::file_size(path_) == 0 ||
         (*LockFile::holder(path_))->process->pid != innocent) {
    ::sched_yield();
  }
  EXPECT_EQ(await_end(path_, kShort).error().kind(), ErrorKind::kTimeout);
  int status = 0;
  EXPECT_EQ(::waitpid(innocent, &status, WNOHANG), 0) << "killed an innocent process";
}

// Root stops a service in a user's folder; whom the user has named there is not for root to kill.
TEST_F(LockTest, StopInAUsersFolderHitsOnlyThatUsersHolder) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root to become another user";
  constexpr uid_t kUser = 65534;
  ASSERT_EQ(::chown(folder_.c_str(), kUser, kUser), 0);
  const auto become_user = [] {
    if (::setgid(kUser) != 0 || ::setuid(kUser) != 0) ::_exit(8);
  };
  const auto named = [&](pid_t innocent) {
    const pid_t holder = hold([&] {
      const auto stat = base::read_file("/proc/" + std::to_string(innocent) + "/stat", 4096);
      std::istringstream fields(stat->substr(stat->rfind(')') + 2));
      std::string field;
      for (int i = 3; i <= 22; ++i) fields >> field;
      std::ofstream(path_) << innocent << ' ' << field << '\n';
      wait_for_ever();
    });
    while (!(*LockFile::holder(path_))->process ||
           (*LockFile::holder(path_))->process->pid != innocent) {
      ::sched_yield();
    }
    const auto ending = await_end(path_, kShort);
    ::kill(holder, SIGKILL);
    status_of(holder);
    return ending ? base::Error(ErrorKind::kIo, "it was stopped") : ending.error();
  };
  const pid_t of_root = run(wait_for_ever);
  const auto other = named(of_root);
  EXPECT_EQ(other.kind(), ErrorKind::kDenied) << other.message();
  EXPECT_NE(other.message().find("runs as user 0"), std::string::npos) << other.message();
  EXPECT_EQ(::kill(of_root, 0), 0);

  const pid_t no_holder = run([&] {
    become_user();
    ::prctl(PR_SET_DUMPABLE, 1);
    wait_for_ever();
  });
  const auto users = [&] {
    return *base::read_file("/proc/" + std::to_string(no_holder) + "/status", 4096);
  };
  while (users().find("Uid:\t65534\t65534") == std::string::npos) ::sched_yield();
  const auto idle = named(no_holder);
  EXPECT_EQ(idle.kind(), ErrorKind::kDenied) << idle.message();
  EXPECT_NE(idle.message().find("does not have that file open"), std::string::npos)
      << idle.message();
  for (const pid_t innocent : {of_root, no_holder}) {
    int status = 0;
    EXPECT_EQ(::waitpid(innocent, &status, WNOHANG), 0) << "killed an innocent process";
  }

  const pid_t honest = hold([&] {
    become_user();
    wait_for_ever();
  });
  while (await_end(path_, kShort).value_or(Ending::kNotRunning) != Ending::kTerminated) {
    ::sched_yield();  // it has not become the user yet
  }
  EXPECT_EQ(WTERMSIG(status_of(honest)), SIGTERM);
}

}  // namespace
}  // namespace fairlead::daemon
