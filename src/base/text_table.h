// SPDX-License-Identifier: Apache-2.0
//
// TextTable: rows and columns for people.
//
//     client      IOPS  wait
//     disk1     12 300  81 us
//
// Every column is as wide as its widest cell; the first is set to the left, the others to the right
// unless told.  A control character in a cell (a name may come from a peer) is shown as '?'.
// Widths count UTF-8 code points, so wide East Asian characters stand crooked.
//
// Thread-safety: none.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fairlead::base {

class TextTable {
 public:
  explicit TextTable(std::vector<std::string> head);

  void align_left(std::size_t column);

  // As many cells as the head has; fewer are filled with empty ones, more are a bug.
  void add(std::vector<std::string> cells);

  // Head and rows, each ended by a newline, no blanks at a line's end.
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;  // the head first
  std::vector<bool> left_;
};

}  // namespace fairlead::base
