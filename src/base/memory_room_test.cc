// SPDX-License-Identifier: Apache-2.0
#include "base/memory_room.h"

#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/sanitizers.h"

namespace fairlead::base {
namespace {

TEST(MemoryRoom, IsSomeAndNotMoreThanTheMachineHas) {
  struct sysinfo info{};
  ASSERT_EQ(::sysinfo(&info), 0);
  EXPECT_GT(memory_room_bytes(), 0u);
  EXPECT_LE(memory_room_bytes(), std::uint64_t{info.totalram} * info.mem_unit);
}

TEST(MemoryRoom, IsBoundedByTheLimitOfTheProcess) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's address space is beyond any limit";
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr std::uint64_t kLimit = std::uint64_t{1} << 30;
    const rlimit limit{kLimit, kLimit};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(1);
    ::_exit(memory_room_bytes() < kLimit ? 0 : 2);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace fairlead::base
