// SPDX-License-Identifier: Apache-2.0
#include "shm/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <gtest/gtest.h>

namespace fairlead::shm {
namespace {

constexpr std::uint64_t kBytes = 8192;
constexpr int kAllSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

base::Fd memfd(std::uint64_t bytes, int seals) {
  base::Fd fd(::memfd_create("segment_test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
  EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}

base::Fd copy(int fd) { return base::Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

TEST(Segment, IsMadeZeroedAndWritable) {
  auto segment = Segment::create("segment_test", kBytes);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->size(), kBytes);
  EXPECT_TRUE(std::all_of(segment->data(), segment->data() + kBytes,
                          [](std::byte b) { return b == std::byte{0}; }));
  segment->data()[kBytes - 1] = std::byte{7};
}

TEST(Segment, NobodyCanResizeOrUnsealIt) {
  auto segment = Segment::create("segment_test", kBytes);
  ASSERT_TRUE(segment);
  EXPECT_EQ(::ftruncate(segment->fd(), 4096), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::ftruncate(segment->fd(), 2 * kBytes), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::fcntl(segment->fd(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST(Segment, AttachedSharesItsBytes) {
  auto made = Segment::create("segment_test", kBytes);
  ASSERT_TRUE(made);
  auto attached = Segment::attach(copy(made->fd()), kBytes);
  ASSERT_TRUE(attached);
  made->data()[100] = std::byte{42};
  EXPECT_EQ(attached->data()[100], std::byte{42});
  EXPECT_NE(attached->data(), made->data());
}

TEST(Segment, MemoryWithoutAllSealsIsRefused) {
  for (const int missing : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL}) {
    const auto attached = Segment::attach(memfd(kBytes, kAllSeals & ~missing), kBytes);
    ASSERT_FALSE(attached) << missing;
    EXPECT_EQ(attached.error().kind(), base::ErrorKind::kCorrupt);
  }
  EXPECT_TRUE(Segment::attach(memfd(kBytes, kAllSeals), kBytes));
}

TEST(Segment, AnotherSizeThanAnnouncedIsRefused) {
  for (const std::uint64_t announced : {std::uint64_t{0}, kBytes - 1, kBytes + 1, kBytes * 4}) {
    const auto attached = Segment::attach(memfd(kBytes, kAllSeals), announced);
    ASSERT_FALSE(attached) << announced;
    EXPECT_EQ(attached.error().kind(), base::ErrorKind::kCorrupt);
  }
  EXPECT_FALSE(Segment::attach(memfd(0, kAllSeals), 0));
}

TEST(Segment, WhatIsNoMemfdIsRefused) {
  EXPECT_FALSE(Segment::attach(base::Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)), kBytes));
  EXPECT_FALSE(Segment::attach(base::Fd(), kBytes));
}

TEST(Segment, ItsMappingOutlivesItsDescriptorAndMoves) {
  auto made = Segment::create("segment_test", kBytes);
  ASSERT_TRUE(made);
  made->release_descriptor().reset();
  EXPECT_LT(made->fd(), 0);
  made->data()[0] = std::byte{9};
  Segment moved = std::move(*made);
  EXPECT_EQ(moved.data()[0], std::byte{9});
  EXPECT_FALSE(*made);
  moved = Segment();
  EXPECT_FALSE(moved);
}

}  // namespace
}  // namespace fairlead::shm
