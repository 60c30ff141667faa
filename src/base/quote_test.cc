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

TEST(Printable, IsOneLineWithoutWhatSteersATerminal) {
  EXPECT_EQ(base::printable("a\tb\r\nc\x1b[31m\x7f"), "a?b??c?[31m?");
  EXPECT_EQ(base::printable("a\xc2\x9b"
                            "31m"),
            "a?31m")
      << "CSI in UTF-8";
  EXPECT_EQ(base::printable(std::string(2, '\0')), "??");
}

TEST(Printable, KeepsAllElse) {
  const std::string text = "a 'name' <é> 日本 \xc2\xa0…" + std::string(100, 'x');
  EXPECT_EQ(base::printable(text), text);
  EXPECT_EQ(base::printable("\xc2"), "\xc2") << "cut within a character";
  EXPECT_EQ(base::printable(""), "");
}

}  // namespace
}  // namespace fairlead::base
