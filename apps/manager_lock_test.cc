// SPDX-License-Identifier: Apache-2.0
#include "apps/manager_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "daemon/runtime_dir.h"

namespace fairlead::apps {
namespace {

class ManagerLock : public testing::Test {
 protected:
  ManagerLock() {
    std::string name = testing::TempDir() + "fl-manager-lock-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    ::setenv("FAIRLEAD_RUNTIME_DIR", folder_.c_str(), 1);
  }
  ~ManagerLock() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

TEST_F(ManagerLock, TheSecondOfAKindIsToldWhoTheFirstIs) {
  const auto first = take_manager_lock("vcpu");
  ASSERT_TRUE(first) << first.error().message();
  const auto second = take_manager_lock("vcpu");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), base::ErrorKind::kBusy);
  EXPECT_EQ(second.error().message(),
            "a manager runs already as process " + std::to_string(::getpid()) + " (end it first)");
}

TEST_F(ManagerLock, TheTwoKindsDoNotHinderEachOther) {
  const auto vcpu = take_manager_lock("vcpu");
  const auto memory = take_manager_lock("memory");
  EXPECT_TRUE(vcpu && memory);
}

TEST_F(ManagerLock, AServiceOfThatNameHasAnotherOne) {
  const auto manager = take_manager_lock("vcpu");
  ASSERT_TRUE(manager);
  const auto folder = daemon::RuntimeDir::open(daemon::RuntimeDir::Purpose::kServe);
  ASSERT_TRUE(folder);
  EXPECT_TRUE(daemon::LockFile::take(folder->files("vcpu")->lock));
  EXPECT_FALSE(daemon::RuntimeDir::check_name("manager@vcpu"));
}

TEST_F(ManagerLock, AKilledOneHindersNobody) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = take_manager_lock("vcpu");
    if (lock) ::raise(SIGKILL);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "it had the lock";
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/manager@vcpu.lock")) << "left behind";
  EXPECT_TRUE(take_manager_lock("vcpu"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/manager@vcpu.lock"))
      << "a clean end leaves nothing";
}

}  // namespace
}  // namespace fairlead::apps
