// SPDX-License-Identifier: Apache-2.0
#include "base/quote.h"

namespace fairlead::base {

std::string quoted(std::string_view text) {
  constexpr std::size_t kLongest = 40;
  std::string out = "'";
  for (const char c : text.substr(0, kLongest)) out += c < ' ' || c > '~' ? '?' : c;
  out += text.size() > kLongest ? "…'" : "'";
  return out;
}

}  // namespace fairlead::base
