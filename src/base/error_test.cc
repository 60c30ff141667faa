// SPDX-License-Identifier: Apache-2.0
#include <cerrno>

#include <gtest/gtest.h>

#include "base/result.h"

namespace fairlead::base {
namespace {

Result<int> parse(bool good) {
  if (!good) return fail_errno(ENOENT, "open disk1.img");
  return 7;
}

Result<int> twice(bool good) {
  FL_TRY(const int value, parse(good));
  return 2 * value;
}

TEST(Result, TryPassesValuesAndErrors) {
  EXPECT_EQ(twice(true).value(), 14);
  const auto failed = twice(false);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(failed.error().system_errno(), ENOENT);
  EXPECT_EQ(failed.error().message(), "open disk1.img: No such file or directory");
}

TEST(Error, ContextGoesInFrontAdviceBehind) {
  Error error(ErrorKind::kBusy, "lock held");
  EXPECT_EQ(std::move(error).at("start").advise("stop it first").message(),
            "start: lock held (stop it first)");
}

}  // namespace
}  // namespace fairlead::base
