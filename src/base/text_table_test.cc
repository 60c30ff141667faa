// SPDX-License-Identifier: Apache-2.0
#include "base/text_table.h"

#include <gtest/gtest.h>

namespace fairlead::base {
namespace {

TEST(TextTable, AlignsNumbersRightAndNamesLeft) {
  TextTable table({"client", "IOPS", "state"});
  table.align_left(2);
  table.add({"disk1", "12300", "up"});
  table.add({"a longer one", "7", "draining"});
  EXPECT_EQ(table.text(),
            "client         IOPS  state\n"
            "disk1         12300  up\n"
            "a longer one      7  draining\n");
}

TEST(TextTable, FillsMissingCellsAndLeavesNoBlanksAtTheEnd) {
  TextTable table({"a", "b"});
  table.add({"x"});
  table.add({});
  EXPECT_EQ(table.text(), "a  b\nx\n\n");
}

TEST(TextTable, CountsCodePointsNotBytes) {
  TextTable table({"n", "wait"});
  table.add({"Zoë", "3 µs"});
  table.add({"Bob", "4 ms"});
  EXPECT_EQ(table.text(), "n    wait\nZoë  3 µs\nBob  4 ms\n");
}

TEST(TextTable, ANameCannotCommandTheTerminal) {
  TextTable table({"name"});
  table.add({"\x1b[2Jevil\n"});
  EXPECT_EQ(table.text(), "name\n?[2Jevil?\n");
}

TEST(TextTableDeathTest, MoreCellsThanTheHeadIsABug) {
  TextTable table({"a"});
  EXPECT_DEATH(table.add({"1", "2"}), "not true");
}

}  // namespace
}  // namespace fairlead::base
