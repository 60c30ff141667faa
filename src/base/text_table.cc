// SPDX-License-Identifier: Apache-2.0
#include "base/text_table.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace fairlead::base {
namespace {

std::size_t width(const std::string& text) {
  const auto starts_one = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  return static_cast<std::size_t>(std::ranges::count_if(text, starts_one));
}

}  // namespace

TextTable::TextTable(std::vector<std::string> head) : left_(head.size(), false) {
  FL_CHECK(!head.empty());
  left_[0] = true;
  add(std::move(head));
}

void TextTable::align_left(std::size_t column) {
  FL_CHECK(column < left_.size());
  left_[column] = true;
}

void TextTable::add(std::vector<std::string> cells) {
  FL_CHECK(cells.size() <= left_.size());
  cells.resize(left_.size());
  for (auto& cell : cells) {
    for (char& c : cell) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
  }
  rows_.push_back(std::move(cells));
}

std::string TextTable::text() const {
  std::vector<std::size_t> widths(left_.size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - width(row[i]), ' ');
      if (i > 0) line += "  ";
      line += left_[i] ? row[i] + space : space + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

}  // namespace fairlead::base
