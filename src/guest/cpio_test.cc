// SPDX-License-Identifier: Apache-2.0
#include "guest/cpio.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "guest/package.h"
#include "guest/subprocess.h"

namespace fairlead::guest {
namespace {

std::string sample() {
  CpioWriter archive;
  EXPECT_TRUE(archive.add_folder("bin"));
  EXPECT_TRUE(archive.add_file("bin/one", "content of one", 0755));
  EXPECT_TRUE(archive.add_file("empty", ""));
  EXPECT_TRUE(archive.add_link("bin/two", "one"));
  return archive.finish();
}

TEST(Cpio, IsUnpackedByCpio) {
  auto folder = ScratchFolder::make(::testing::TempDir());
  ASSERT_TRUE(folder);
  ASSERT_TRUE(base::write_file_atomic(folder->path() + "/archive", sample()));
  const auto done = run_tool({"cpio", "-i", "-d", "--quiet"},
                             {.folder = folder->path(), .input = folder->path() + "/archive"});
  if (!done && done.error().kind() == base::ErrorKind::kNotFound) GTEST_SKIP() << "no cpio here";
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(*base::read_file(folder->path() + "/bin/one", 100), "content of one");
  EXPECT_EQ(*base::read_file(folder->path() + "/bin/two", 100), "content of one");
  EXPECT_EQ(*base::read_file(folder->path() + "/empty", 100), "");
  const auto mode = run_tool({"stat", "-c", "%a", folder->path() + "/bin/one"});
  EXPECT_EQ(*mode, "755\n");
}

TEST(Cpio, TheSameCallsGiveTheSameBytes) { EXPECT_EQ(sample(), sample()); }

TEST(Cpio, EveryPartIsAligned) {
  EXPECT_EQ(sample().size() % 4, 0U);
  const std::string bytes = sample();
  for (std::size_t at = bytes.find("070701"); at != std::string::npos;
       at = bytes.find("070701", at + 1)) {
    EXPECT_EQ(at % 4, 0U);
  }
}

TEST(Cpio, RefusesNamesThatLeaveTheArchiveOrStandTwice) {
  CpioWriter archive;
  for (const char* name : {"", "/etc/passwd", "../up", "a//b", "a/./b", "a/", "TRAILER!!!"}) {
    EXPECT_FALSE(archive.add_file(name, "x")) << name;
  }
  EXPECT_TRUE(archive.add_file("..a", "x"));
  const auto again = archive.add_file("..a", "x");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), base::ErrorKind::kInvalid);
}

}  // namespace
}  // namespace fairlead::guest
