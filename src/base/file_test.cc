// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/random.h"

namespace fairlead::base {
namespace {

class File : public ::testing::Test {
 protected:
  File() {
    std::string name = ::testing::TempDir() + "fairlead_file_XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~File() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  auto entries() const { return std::distance(std::filesystem::directory_iterator(folder_), {}); }

  std::string folder_;
};

std::string noise(std::size_t bytes) {
  Random random(bytes);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random.next());
  return text;
}

TEST_F(File, ReadsBackWhatWasWritten) {
  for (const std::size_t bytes : {0, 1, 16384, 100'000}) {
    const std::string content = noise(bytes);
    ASSERT_TRUE(write_file_atomic(path("a"), content));
    EXPECT_EQ(read_file(path("a"), bytes), content);
  }
  EXPECT_EQ(entries(), 1);
}

TEST_F(File, ReadsNoMoreThanItsBound) {
  ASSERT_TRUE(write_file_atomic(path("a"), noise(20'000)));
  const auto cut = read_file(path("a"), 19'999);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().kind(), ErrorKind::kLimit);
  EXPECT_EQ(cut.error().message(), "read " + path("a") + ": more than 19999 bytes");
  EXPECT_EQ(read_file("/dev/zero", 1 << 20).error().kind(), ErrorKind::kLimit);
}

TEST_F(File, ReadsFilesThatDoNotTellTheirSize) {
  const auto status = read_file("/proc/self/status", 1 << 20);
  ASSERT_TRUE(status);
  EXPECT_NE(status->find("Pid:"), std::string::npos);
}

TEST_F(File, SaysWhatIsMissing) {
  const auto missing = read_file(path("none"), 10);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(missing.error().message(), "open " + path("none") + ": No such file or directory");
  EXPECT_EQ(write_file_atomic(path("no/folder"), "x").error().kind(), ErrorKind::kNotFound);
}

TEST_F(File, SetsTheModeWhateverTheUmask) {
  const mode_t before = ::umask(0077);
  ASSERT_TRUE(write_file_atomic(path("a"), "x", 0640));
  ::umask(before);
  struct stat status{};
  ASSERT_EQ(::stat(path("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640);
}

TEST_F(File, AFailedReplacementLeavesTheOldAndNoLitter) {
  ASSERT_TRUE(std::filesystem::create_directory(path("folder")));
  ASSERT_FALSE(write_file_atomic(path("folder"), "x"));  // rename onto a folder fails
  EXPECT_TRUE(std::filesystem::is_directory(path("folder")));
  EXPECT_EQ(entries(), 1);
}

// A reader never meets half a file, however the replacements fall.
TEST_F(File, AReaderSeesOldOrNewNeverAMixture) {
  const std::string first(50'000, 'a');
  const std::string second(70'000, 'b');
  ASSERT_TRUE(write_file_atomic(path("a"), first));
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 50; ++i) {
      EXPECT_TRUE(write_file_atomic(path("a"), i % 2 == 0 ? second : first));
    }
    done = true;
  });
  while (!done) {
    const auto content = read_file(path("a"), 1 << 20);
    EXPECT_TRUE(content && (*content == first || *content == second));
  }
  writer.join();
}

TEST_F(File, WriteAllSaysThatTheDiskIsFull) {
  const Fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full);
  const auto status = write_all(full.get(), "x");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kLimit);
}

// A small pipe makes writes short; a signal without SA_RESTART interrupts them half-way.
TEST_F(File, WriteAllSurvivesShortWritesAndSignals) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd reader(ends[0]);
  Fd writer(ends[1]);
  ASSERT_GE(::fcntl(writer.get(), F_SETPIPE_SZ, 4096), 4096);
  struct sigaction interrupt{};
  struct sigaction before{};
  interrupt.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR1, &interrupt, &before), 0);

  const std::string sent = noise(1 << 20);
  std::atomic<bool> stay{true};
  std::thread thread([&] {
    EXPECT_TRUE(write_all(writer.get(), sent));
    writer.reset();
    while (stay) std::this_thread::yield();  // pthread_kill below needs a living thread
  });
  std::string got;
  char chunk[3000];
  for (ssize_t n = 0; (n = ::read(reader.get(), chunk, sizeof chunk)) > 0;) {
    got.append(chunk, static_cast<std::size_t>(n));
    ::pthread_kill(thread.native_handle(), SIGUSR1);
  }
  stay = false;
  thread.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  EXPECT_TRUE(got == sent);
}

}  // namespace
}  // namespace fairlead::base
