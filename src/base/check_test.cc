// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <gtest/gtest.h>

namespace fairlead::base {
namespace {

TEST(CheckDeathTest, AbortsInEveryBuildAndSaysWhat) {
  FL_CHECK(1 + 1 == 2);
  EXPECT_DEATH(FL_CHECK(1 + 1 == 3),
               "internal error.*check_test.cc:[0-9]+: not true: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace fairlead::base
