// SPDX-License-Identifier: Apache-2.0
#include "daemon/runtime_dir.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace fairlead::daemon {
namespace {

using base::ErrorKind;
using Purpose = RuntimeDir::Purpose;

class RuntimeDirTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/fl-runtime-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    ::unsetenv("FAIRLEAD_RUNTIME_DIR");
    ::unsetenv("XDG_RUNTIME_DIR");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

TEST_F(RuntimeDirTest, EnvironmentInItsOrder) {
  ::setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
  EXPECT_EQ(RuntimeDir::open(Purpose::kServe)->path(), folder_ + "/fairlead");
  ::setenv("FAIRLEAD_RUNTIME_DIR", (folder_ + "/own/").c_str(), 1);
  EXPECT_EQ(RuntimeDir::open(Purpose::kServe)->path(), folder_ + "/own");
  ::setenv("FAIRLEAD_RUNTIME_DIR", "", 1);
  EXPECT_EQ(RuntimeDir::open(Purpose::kServe)->path(), folder_ + "/fairlead");
}

TEST_F(RuntimeDirTest, MadePrivateWhateverTheUmask) {
  const mode_t before = ::umask(0);
  const auto made = RuntimeDir::open_at(folder_ + "/new", Purpose::kServe);
  ::umask(before);
  ASSERT_TRUE(made) << made.error().message();
  struct stat found{};
  ASSERT_EQ(::stat(made->path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0700U);
}

TEST_F(RuntimeDirTest, RelativePathBecomesAbsolute) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  const auto made = RuntimeDir::open_at("here", Purpose::kServe);
  std::filesystem::current_path(before);
  EXPECT_EQ(made->path(), folder_ + "/here");
}

TEST_F(RuntimeDirTest, FolderThatOthersCanWriteIsRefused) {
  for (const mode_t mode : {0770U, 0702U, 01777U}) {
    ASSERT_EQ(::chmod(folder_.c_str(), mode), 0);
    for (const Purpose purpose : {Purpose::kServe, Purpose::kUse}) {
      const auto opened = RuntimeDir::open_at(folder_, purpose);
      ASSERT_FALSE(opened) << mode;
      EXPECT_EQ(opened.error().kind(), ErrorKind::kInvalid);
      // Whoever obeys must not change /tmp.
      EXPECT_EQ(opened.error().message().find("chmod"), std::string::npos);
      EXPECT_NE(opened.error().message().find("set FAIRLEAD_RUNTIME_DIR to a folder of yours"),
                std::string::npos);
    }
  }
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  EXPECT_TRUE(RuntimeDir::open_at(folder_, Purpose::kServe));
}

TEST_F(RuntimeDirTest, FilesAndLinksAreNoFolder) {
  std::ofstream(folder_ + "/file") << "x";
  std::filesystem::create_directory(folder_ + "/real");
  std::filesystem::create_directory_symlink(folder_ + "/real", folder_ + "/link");
  for (const char* name : {"/file", "/link"}) {
    EXPECT_EQ(RuntimeDir::open_at(folder_ + name, Purpose::kServe).error().kind(),
              ErrorKind::kInvalid)
        << name;
  }
}

TEST_F(RuntimeDirTest, MissingFolderMeansNoServiceToAClient) {
  const auto opened = RuntimeDir::open_at(folder_ + "/none", Purpose::kUse);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind(), ErrorKind::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/none"));
}

// Root's answers differ, so another user asks.
TEST_F(RuntimeDirTest, FolderOfSomebodyElseIsRefusedWithAdvice) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  const auto as_nobody = [](const std::string& path, Purpose purpose) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(99);
      const auto opened = RuntimeDir::open_at(path, purpose);
      if (opened) ::_exit(98);
      const std::string& said = opened.error().message();
      const bool advised = said.find("set FAIRLEAD_RUNTIME_DIR") != std::string::npos;
      const bool names_owner = said.find("takes clients of that user only") != std::string::npos;
      if (names_owner != (purpose == Purpose::kUse)) ::_exit(96);
      ::_exit(advised ? static_cast<int>(opened.error().kind()) : 97);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  };
  constexpr int kDenied = static_cast<int>(ErrorKind::kDenied);
  EXPECT_EQ(as_nobody(folder_, Purpose::kServe), kDenied);
  EXPECT_EQ(as_nobody("/run/fairlead-test-of-nobody", Purpose::kServe), kDenied);
  EXPECT_EQ(as_nobody(folder_, Purpose::kUse), 98) << "root's may be used";
  ASSERT_EQ(::chmod(folder_.c_str(), 0700), 0);
  EXPECT_EQ(as_nobody(folder_, Purpose::kUse), kDenied) << "root's, closed to others";
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  ASSERT_EQ(::chown(folder_.c_str(), 1, 1), 0);
  EXPECT_EQ(as_nobody(folder_, Purpose::kUse), kDenied);
  EXPECT_EQ(RuntimeDir::open_at(folder_, Purpose::kServe).error().kind(), ErrorKind::kDenied);
  EXPECT_TRUE(RuntimeDir::open_at(folder_, Purpose::kUse)) << "root may use anybody's";
}

TEST_F(RuntimeDirTest, NamesAreChecked) {
  const auto dir = RuntimeDir::open_at(folder_, Purpose::kServe);
  const auto files = dir->files("Disk_1.img-a");
  ASSERT_TRUE(files);
  EXPECT_EQ(files->socket, folder_ + "/Disk_1.img-a.sock");
  EXPECT_EQ(files->lock, folder_ + "/Disk_1.img-a.lock");
  EXPECT_EQ(files->log, folder_ + "/Disk_1.img-a.log");
  EXPECT_EQ(files->last, folder_ + "/Disk_1.img-a.last");
  using namespace std::literals;
  for (const std::string_view bad :
       {""sv, "."sv, ".."sv, ".a"sv, "a/b"sv, "../a"sv, "a b"sv, "a\n"sv, "ä"sv, "a\0b"sv}) {
    EXPECT_EQ(dir->files(bad).error().kind(), ErrorKind::kInvalid) << bad;
  }
  EXPECT_NE(dir->files("a b").error().message().find("'a b'"), std::string::npos);
  EXPECT_TRUE(dir->files(std::string(64, 'a')));
  EXPECT_FALSE(dir->files(std::string(65, 'a')));
}

TEST_F(RuntimeDirTest, SocketPathMustFitItsAddress) {
  const std::string deep = folder_ + "/" + std::string(107 - 10 - folder_.size() - 1, 'd');
  const auto dir = RuntimeDir::open_at(deep, Purpose::kServe);
  ASSERT_TRUE(dir);
  EXPECT_TRUE(dir->files("1234"));  // "/1234.sock" are 10
  const auto over = dir->files("12345");
  ASSERT_FALSE(over);
  EXPECT_NE(over.error().message().find("socket path of 108 bytes, at most 107 fit"),
            std::string::npos);
}

}  // namespace
}  // namespace fairlead::daemon
