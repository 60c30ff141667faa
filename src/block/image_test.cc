// SPDX-License-Identifier: Apache-2.0
#include "block/image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include <gtest/gtest.h>

#include "block/testing_image.h"

namespace fairlead::block {
namespace {

using base::ErrorKind;

class ImageTest : public ::testing::Test {
 protected:
  void refused(const std::string& spec, ErrorKind kind, const std::string& hint) {
    const auto image = Image::open(spec);
    ASSERT_FALSE(image) << spec;
    EXPECT_EQ(image.error().kind(), kind) << image.error().message();
    EXPECT_NE(image.error().message().find(hint), std::string::npos) << image.error().message();
    EXPECT_EQ(image.error().message().find('\n'), std::string::npos);
  }
  TestFolder folder_;
};

TEST_F(ImageTest, IsOpenedDirectAndMeasured) {
  const auto image = Image::open(make_test_image(folder_ / "disk.img", 24));
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ(image->sectors(), 24u);
  EXPECT_EQ(image->bytes(), 24u * 512);
  EXPECT_FALSE(image->is_null());
  EXPECT_EQ(image->name(), folder_ / "disk.img");
  EXPECT_NE(::fcntl(image->fd(), F_GETFL) & O_DIRECT, 0) << "document 000, 3-2 asks for O_DIRECT";
  EXPECT_EQ(::fcntl(image->fd(), F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_NE(::fcntl(image->fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(ImageTest, AMissingOneSaysHowToMakeOne) {
  refused(folder_ / "none.img", ErrorKind::kNotFound, "dd if=/dev/urandom");
}

TEST_F(ImageTest, AnEmptyOneIsRefused) {
  const base::Fd file(::open((folder_ / "empty").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  refused(folder_ / "empty", ErrorKind::kInvalid, "is empty");
}

TEST_F(ImageTest, HalfASectorIsRefused) {
  const std::string path = make_test_image(folder_ / "odd", 4);
  for (const off_t bytes : {1L, 511L, 513L, 2047L}) {
    ASSERT_EQ(::truncate(path.c_str(), bytes), 0);
    refused(path, ErrorKind::kInvalid, std::to_string(bytes));
  }
}

// A file of memory, because few file systems have files of that size.
TEST_F(ImageTest, OneThatTheSectorNumbersDoNotReachIsRefused) {
  const std::string path = "/dev/shm/fl-image-" + std::to_string(::getpid());
  {
    const base::Fd file(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    const auto most = static_cast<off_t>(Image::kMaxBytes);
    if (!file || ::ftruncate(file.get(), most + 512) != 0) {
      ::unlink(path.c_str());
      GTEST_SKIP() << "no file of 128 PiB may be made here";
    }
    const auto opened = Image::open(path);
    if (!opened && opened.error().kind() == ErrorKind::kUnsupported) {
      ::unlink(path.c_str());
      GTEST_SKIP() << "this kernel has no direct reads from memory";
    }
    refused(path, ErrorKind::kLimit, "at most 128 PiB");
    ASSERT_EQ(::ftruncate(file.get(), most), 0);
    const auto largest = Image::open(path);
    EXPECT_TRUE(largest) << largest.error().message();
    EXPECT_EQ(largest ? largest->sectors() : 0, std::uint64_t{1} << 48);
  }
  ::unlink(path.c_str());
}

TEST_F(ImageTest, AFolderIsRefused) { refused(folder_.path(), ErrorKind::kInvalid, "neither"); }

TEST_F(ImageTest, AFifoIsRefusedAndNotWaitedFor) {
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0644), 0);
  const auto image = Image::open(folder_ / "fifo");
  EXPECT_FALSE(image);
}

TEST_F(ImageTest, ACharacterDeviceIsRefused) {
  const auto image = Image::open("/dev/zero");
  EXPECT_FALSE(image);
}

TEST_F(ImageTest, WithoutPermissionItIsDenied) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  const std::string path = make_test_image(folder_ / "secret.img", 4);
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0) _exit(9);
    const auto image = Image::open(path);
    _exit(!image && image.error().kind() == ErrorKind::kDenied &&
                  image.error().system_errno() == EACCES
              ? 0
              : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(ImageTest, AFileSystemWithoutDirectReadsIsRefused) {
  const auto image = Image::open("/proc/self/status");
  ASSERT_FALSE(image);
}

TEST_F(ImageTest, NullHasASizeAndNoStorage) {
  auto image = Image::open("null:1M");
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_TRUE(image->is_null());
  EXPECT_EQ(image->sectors(), 2048u);
  EXPECT_EQ(image->fd(), -1);
  EXPECT_EQ(image->look(), ImageChange::kNone);
}

TEST_F(ImageTest, ANullOfABadSizeIsRefused) {
  for (const char* spec : {"null:", "null:0", "null:513", "null:-512", "null:1Q", "null:129P",
                           "null:99999999999999999999", "null:512 "}) {
    EXPECT_FALSE(Image::open(spec)) << spec;
  }
}

class LookTest : public ::testing::Test {
 protected:
  LookTest()
      : path_(make_test_image(folder_ / "disk.img", 64)), image_(std::move(*Image::open(path_))) {}
  // Other content at another time, however coarse the file system's clock is.
  void write_later() {
    struct stat before{};
    ASSERT_EQ(::stat(path_.c_str(), &before), 0);
    ASSERT_TRUE(eventually([&] {
      write_sectors_of(path_, 3, 1, 99);
      struct stat now{};
      return ::stat(path_.c_str(), &now) == 0 && (now.st_mtim.tv_nsec != before.st_mtim.tv_nsec ||
                                                  now.st_mtim.tv_sec != before.st_mtim.tv_sec);
    }));
  }
  TestFolder folder_;
  const std::string path_;
  Image image_;
};

TEST_F(LookTest, NothingHappened) {
  EXPECT_EQ(image_.look(), ImageChange::kNone);
  EXPECT_EQ(image_.look(), ImageChange::kNone);
}

TEST_F(LookTest, WrittenContentIsSeenOnce) {
  write_later();
  EXPECT_EQ(image_.look(), ImageChange::kContent);
  EXPECT_EQ(image_.look(), ImageChange::kNone);
  write_later();
  EXPECT_EQ(image_.look(), ImageChange::kContent);
}

TEST_F(LookTest, GrownAndTruncatedAreSeenAndTheGeometryStays) {
  ASSERT_EQ(::truncate(path_.c_str(), 128 * 512), 0);
  EXPECT_EQ(image_.look(), ImageChange::kSize);
  EXPECT_EQ(image_.look(), ImageChange::kNone);
  ASSERT_EQ(::truncate(path_.c_str(), 512), 0);
  EXPECT_EQ(image_.look(), ImageChange::kSize);
  EXPECT_EQ(image_.sectors(), 64u);
}

TEST_F(LookTest, ReplacedIsSeenOnce) {
  make_test_image(folder_ / "other.img", 64, 7);
  ASSERT_EQ(::rename((folder_ / "other.img").c_str(), path_.c_str()), 0);
  EXPECT_EQ(image_.look(), ImageChange::kReplaced);
  EXPECT_EQ(image_.look(), ImageChange::kNone);
}

TEST_F(LookTest, RemovedCountsAsReplaced) {
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  EXPECT_EQ(image_.look(), ImageChange::kReplaced);
  EXPECT_EQ(image_.look(), ImageChange::kNone);
}

TEST_F(LookTest, IsNotDeceivedByAnotherCurrentFolder) {
  const base::Fd here(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::chdir(folder_.path().c_str()), 0);
  auto image = Image::open("disk.img");
  ASSERT_EQ(::chdir("/"), 0);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->look(), ImageChange::kNone);
  ASSERT_EQ(::fchdir(here.get()), 0);
}

}  // namespace
}  // namespace fairlead::block
