// SPDX-License-Identifier: Apache-2.0
//
// Each case gives up in a child what the child then tries to do all the same.
#include "daemon/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

#include "daemon/log.h"

namespace fairlead::daemon {
namespace {

using base::ErrorKind;

int in_child(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

struct Forbidden {
  const char* what;
  std::function<long()> call;
};

const Forbidden kForbidden[] = {
    {"execve", [] { return static_cast<long>(::execl("/bin/true", "true", nullptr)); }},
    {"fork", [] { return static_cast<long>(::fork()); }},
    {"internet socket", [] { return static_cast<long>(::socket(AF_INET, SOCK_STREAM, 0)); }},
    {"local socket", [] { return static_cast<long>(::socket(AF_UNIX, SOCK_STREAM, 0)); }},
    {"ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
    {"write open", [] { return static_cast<long>(::open("/dev/null", O_WRONLY)); }},
    {"create",
     [] { return static_cast<long>(::open("/tmp/fl-sandbox-x", O_RDONLY | O_CREAT, 0600)); }},
    {"truncate", [] { return static_cast<long>(::open("/dev/null", O_RDONLY | O_TRUNC)); }},
    {"nameless file", [] { return static_cast<long>(::open("/tmp", O_TMPFILE | O_RDWR, 0600)); }},
    {"executable memory",
     [] {
       void* got = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       return got == MAP_FAILED ? -1L : 0L;
     }},
    {"kill", [] { return static_cast<long>(::kill(::getppid(), 0)); }},
    {"chmod", [] { return static_cast<long>(::chmod("/tmp", 01777)); }},
    {"unlink", [] { return static_cast<long>(::unlink("/tmp/fl-sandbox-x")); }},
};

class SandboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // Without a filter (sanitizers, a kernel without seccomp) there is nothing to see here.
    if (in_child([] { return enter_sandbox({}).value().filtered; }) != 0) {
      GTEST_SKIP() << "no system call filter in this build or on this kernel";
    }
  }
};

TEST_F(SandboxTest, ForbiddenCallIsDenied) {
  for (const Forbidden& forbidden : kForbidden) {
    EXPECT_EQ(in_child([&] {
                if (!enter_sandbox({.on_forbidden = OnForbidden::kDeny})) return false;
                errno = 0;
                return forbidden.call() == -1 && errno == EPERM;
              }),
              0)
        << forbidden.what;
  }
}

TEST_F(SandboxTest, ForbiddenCallKillsTheProcess) {
  for (const Forbidden& forbidden : kForbidden) {
    const int status = in_child([&] {
      if (!enter_sandbox({})) return false;
      forbidden.call();
      return true;
    });
    ASSERT_TRUE(WIFSIGNALED(status)) << forbidden.what << " " << status;
    EXPECT_EQ(WTERMSIG(status), SIGSYS) << forbidden.what;
  }
}

// A worker that was taken over must not leave the rest of the daemon running without it.
TEST_F(SandboxTest, ForbiddenCallOfOneThreadEndsAll) {
  const int status = in_child([] {
    std::atomic<bool> inside = false;
    std::thread worker([&] {
      inside.wait(false);
      ::socket(AF_INET, SOCK_STREAM, 0);
    });
    if (!enter_sandbox({})) return false;
    inside = true;
    inside.notify_all();
    worker.join();
    return true;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSYS);
}

TEST_F(SandboxTest, FilterReachesThreadsThatRanBefore) {
  EXPECT_EQ(in_child([] {
              std::atomic<int> step = 0;
              std::atomic<bool> denied = false;
              std::thread before([&] {
                step = 1;
                step.notify_all();
                step.wait(1);
                denied = ::socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM;
              });
              step.wait(0);
              const auto report = enter_sandbox({.on_forbidden = OnForbidden::kDeny});
              step = 2;
              step.notify_all();
              before.join();
              return report && denied && !report->notices.empty();
            }),
            0);
}

// What a C++ daemon does all day, under the deadly filter.
TEST_F(SandboxTest, RuntimeWorksInside) {
  EXPECT_EQ(in_child([] {
              std::mutex mutex;
              std::condition_variable changed;
              bool inside = false;
              std::thread worker([&] {
                std::unique_lock lock(mutex);
                changed.wait(lock, [&] { return inside; });
                // An arena of its own, grown, shrunk, and freed with the thread.
                for (std::size_t size = 64; size < (64U << 20); size *= 4) {
                  std::vector<std::vector<char>> many(8, std::vector<char>(size, 'x'));
                }
              });
              if (!enter_sandbox({})) return false;
              {
                const std::scoped_lock lock(mutex);
                inside = true;
              }
              changed.notify_all();
              worker.join();
              try {
                throw std::runtime_error("caught");
              } catch (const std::exception&) {
                const base::SystemClock clock;
                const int null = ::open("/proc/self/stat", O_RDONLY);
                Log(clock, {.fd = null}).write(Level::kInfo, "cannot be written, no harm");
                ::close(null);
              }
              std::this_thread::sleep_for(std::chrono::microseconds(10));
              return true;
            }),
            0);
}

TEST_F(SandboxTest, AbortIsStillAnAbort) {
  const int status = in_child([] {
    static_cast<void>(enter_sandbox({}));
    std::abort();
    return true;
  });
  EXPECT_EQ(WTERMSIG(status), SIGABRT);
}

TEST_F(SandboxTest, CallerAddsItsOwnWithConditions) {
  EXPECT_EQ(in_child([] {
              SandboxOptions options{.on_forbidden = OnForbidden::kDeny};
              options.calls.push_back({"socket", 0, ~0ULL, AF_UNIX});
              for (const AllowedCall& call : local_socket_calls()) options.calls.push_back(call);
              if (!enter_sandbox(options)) return false;
              return ::socket(AF_UNIX, SOCK_STREAM, 0) >= 0 &&
                     ::socket(AF_INET, SOCK_STREAM, 0) == -1;
            }),
            0);
}

TEST(Sandbox, UnknownCallIsOurMistake) {
  EXPECT_EQ(in_child([] {
              const auto report = enter_sandbox({.calls = {{"fly_to_the_moon"}}});
              return report || report.error().kind() == ErrorKind::kInvalid;
            }),
            0);
}

TEST(Sandbox, CapabilitiesAreGoneForGood) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root to have something to lose";
  EXPECT_EQ(in_child([] {
              const auto report = enter_sandbox({.filter = false});
              if (!report || !report->capabilities_dropped || !report->bounding_set_dropped ||
                  !report->no_new_privileges || report->filtered) {
                return false;
              }
              return ::prctl(PR_CAPBSET_READ, 0) == 0 &&
                     ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
                     ::syscall(SYS_setuid, 65534) == -1 && ::chown("/tmp", 1, 1) == -1;
            }),
            0);
}

TEST(Sandbox, UserWithoutCapabilitiesIsToldWhatStays) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root to become another user";
  EXPECT_EQ(in_child([] {
              if (::setgid(65534) != 0 || ::setuid(65534) != 0) return false;
              const auto report = enter_sandbox({.filter = false});
              return report && report->capabilities_dropped && !report->bounding_set_dropped &&
                     report->notices.back().find("bounding set kept") != std::string::npos;
            }),
            0);
}

TEST(Sandbox, DumpableIsGivenUpOnRequest) {
  EXPECT_EQ(in_child([] {
              return enter_sandbox({.filter = false, .keep_dumpable = false}) &&
                     ::prctl(PR_GET_DUMPABLE) == 0;
            }),
            0);
}

}  // namespace
}  // namespace fairlead::daemon
