// SPDX-License-Identifier: Apache-2.0
#include "guest/lock.h"

#include <gtest/gtest.h>
#include <stdlib.h>  // setenv

#include "base/file.h"
#include "guest/package.h"

namespace fairlead::guest {
namespace {

const std::string kDigest(64, 'a');

TEST(Lock, TheBuiltInOneHasWhatEveryImageNeeds) {
  const auto lock = PackageLock::built_in();
  ASSERT_TRUE(lock) << lock.error().message();
  EXPECT_TRUE(lock->only("kernel"));
  EXPECT_TRUE(lock->only("busybox"));
  EXPECT_TRUE(lock->only("uml"));
  const auto headers = lock->of("headers");
  ASSERT_FALSE(headers.empty());
  // The headers are those of the kernel.
  const std::string release = lock->only("kernel")->name.substr(12);
  EXPECT_EQ(headers.front().name, "linux-headers-" + release);
  EXPECT_EQ(headers.front().version, lock->only("kernel")->version);
}

TEST(Lock, ReadsWhatItWrites) {
  const PackageLock lock(
      {{"kernel", "linux-image-1", "1:2.3-4+b1~x", kDigest}, {"headers", "h", "2", kDigest}});
  const auto again = PackageLock::parse(lock.text());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->packages(), lock.packages());
}

TEST(Lock, RefusesByLine) {
  for (const std::string& line :
       {std::string("kernel only three"), "moon a 1 " + kDigest, "kernel a 1 " + kDigest + " more",
        "kernel -o 1 " + kDigest, "kernel ../a 1 " + kDigest, "kernel a/b 1 " + kDigest,
        "kernel a 1=2 " + kDigest, "kernel a 1 " + std::string(63, 'a'),
        "kernel a 1 " + std::string(64, 'G')}) {
    const auto lock = PackageLock::parse("# comment\n\n" + line + "\n");
    ASSERT_FALSE(lock) << line;
    EXPECT_EQ(lock.error().kind(), base::ErrorKind::kInvalid);
    EXPECT_TRUE(lock.error().message().starts_with("line 3: ")) << lock.error().message();
  }
}

TEST(Lock, TheUsersOwnIsBeforeTheBuiltInOne) {
  auto folder = ScratchFolder::make(::testing::TempDir());
  ASSERT_TRUE(folder);
  ::setenv("XDG_CONFIG_HOME", folder->path().c_str(), 1);
  EXPECT_EQ(PackageLock::load("")->packages(), PackageLock::built_in()->packages());
  ASSERT_TRUE(make_folders(folder->path() + "/fairlead"));
  ASSERT_TRUE(base::write_file_atomic(folder->path() + "/fairlead/packages.lock",
                                      "kernel mine 1 " + kDigest + "\n"));
  EXPECT_EQ(PackageLock::load("")->only("kernel")->name, "mine");
  ::unsetenv("XDG_CONFIG_HOME");
}

TEST(Lock, AnAbsentOrDoubledRoleIsSaid) {
  const auto lock = PackageLock::parse("uml a 1 " + kDigest + "\numl b 1 " + kDigest);
  EXPECT_FALSE(lock->only("uml"));
  EXPECT_FALSE(lock->only("kernel"));
}

TEST(PackageStore, WhatIsNotWhatWasPinnedIsNotUsed) {
  auto folder = ScratchFolder::make(::testing::TempDir());
  ASSERT_TRUE(folder);
  ASSERT_TRUE(make_folders(folder->path() + "/packages"));
  const std::string kept = folder->path() + "/packages/" + kDigest + ".deb";
  ASSERT_TRUE(base::write_file_atomic(kept, "not that package"));
  const PackageStore store(folder->path());
  const auto file = store.fetch({"kernel", "fairlead-no-such-package", "1", kDigest});
  ASSERT_FALSE(file);
  EXPECT_FALSE(base::read_file(kept, 100));
}

TEST(PackageStore, TheDigestIsTheFiles) {
  auto folder = ScratchFolder::make(::testing::TempDir());
  ASSERT_TRUE(base::write_file_atomic(folder->path() + "/a\\b", "abc"));
  EXPECT_EQ(*sha256_of(folder->path() + "/a\\b"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace fairlead::guest
