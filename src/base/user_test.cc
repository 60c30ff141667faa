// SPDX-License-Identifier: Apache-2.0
#include "base/user.h"

#include <gtest/gtest.h>

namespace fairlead::base {
namespace {

TEST(UserName, IsTheNameOrElseTheNumber) {
  EXPECT_EQ(user_name(0), "root");
  EXPECT_EQ(user_name(3'999'999'999), "user 3999999999");
}

}  // namespace
}  // namespace fairlead::base
