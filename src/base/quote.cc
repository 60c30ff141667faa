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

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    const bool of_latin = c == '\xc2' && (static_cast<unsigned char>(next) & 0xe0U) == 0x80U;
    const bool control = (c >= 0 && c < ' ') || c == '\x7f' || of_latin;
    out += control ? '?' : c;
    if (of_latin) ++i;  // its second byte
  }
  return out;
}

}  // namespace fairlead::base
