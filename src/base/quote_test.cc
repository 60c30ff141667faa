// SPDX-License-Identifier: Apache-2.0
#include "base/quote.h"

#include <gtest/gtest.h>

namespace fairlead::base {
namespace {

TEST(Quoted, IsOneLineWithoutControlBytes) {
  EXPECT_EQ(base::quoted("a b"), "'a b'");
  EXPECT_EQ(base::quoted(""), "''");
  EXPECT_EQ(base::quoted("a\nb\x1b[31m\x7f"), "'a?b?[31m?'");
}

TEST(Quoted, IsCutWhereItIsLong) {
  EXPECT_EQ(base::quoted(std::string(40, 'x')), "'" + std::string(40, 'x') + "'");
  EXPECT_EQ(base::quoted(std::string(41, 'x')), "'" + std::string(40, 'x') + "…'");
}

}  // namespace
}  // namespace fairlead::base
