// SPDX-License-Identifier: Apache-2.0
#include "guest/subprocess.h"

#include <gtest/gtest.h>

namespace fairlead::guest {
namespace {

TEST(Subprocess, GivesTheOutputOrSaysWhatFailed) {
  EXPECT_EQ(*run_tool({"echo", "a b", "c"}), "a b c\n");
  EXPECT_EQ(run_tool({"fairlead-no-such-program"}).error().kind(), base::ErrorKind::kNotFound);
  const auto failed = run_tool({"sh", "-c", "echo first >&2; echo last >&2; exit 3"});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "sh: last");
}

TEST(Subprocess, SpeaksOneLanguageWhateverTheUsers) {
  EXPECT_EQ(*run_tool({"sh", "-c", "echo $LC_ALL"}), "C.UTF-8\n");
}

TEST(Subprocess, EndsAtItsTimeLimitWithWhatItStarted) {
  const std::int64_t start = base::monotonic_ns();
  const auto late =
      run_tool({"sh", "-c", "sleep 60 & sleep 60"}, {.timeout_ns = 100 * base::kNanosPerMilli});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), base::ErrorKind::kTimeout);
  EXPECT_LT(base::monotonic_ns() - start, 30 * base::kNanosPerSecond);
}

TEST(Subprocess, ALargeOutputDoesNotBlockIt) {
  const auto out = run_tool({"head", "-c", "3000000", "/dev/zero"});
  ASSERT_TRUE(out);
  EXPECT_EQ(out->size(), 3'000'000U);
}

}  // namespace
}  // namespace fairlead::guest
