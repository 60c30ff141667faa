// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>

#include "base/check.h"

namespace fairlead::base {
namespace {

constexpr unsigned kMaxDepth = 64;

struct Sequence {
  std::size_t bytes;
  bool valid;
};

constexpr unsigned char byte_at(std::string_view text, std::size_t at) noexcept {
  return static_cast<unsigned char>(text[at]);
}

// The well-formed UTF-8 sequence at the front of `text` (Unicode 15, table 3-7), or how many bytes
// one replacement character stands for.
Sequence utf8_sequence(std::string_view text) noexcept {
  const unsigned lead = byte_at(text, 0);
  unsigned low = 0x80;
  unsigned high = 0xbf;
  std::size_t length = 0;
  if (lead < 0x80) return {1, true};
  if (lead >= 0xc2 && lead <= 0xdf) length = 2;
  if (lead >= 0xe0 && lead <= 0xef) length = 3;
  if (lead >= 0xf0 && lead <= 0xf4) length = 4;
  if (lead == 0xe0) low = 0xa0;   // overlong
  if (lead == 0xed) high = 0x9f;  // surrogates
  if (lead == 0xf0) low = 0x90;   // overlong
  if (lead == 0xf4) high = 0x8f;  // beyond U+10FFFF
  if (length == 0) return {1, false};
  for (std::size_t i = 1; i < length; ++i) {
    if (i >= text.size() || byte_at(text, i) < low || byte_at(text, i) > high) return {i, false};
    low = 0x80;
    high = 0xbf;
  }
  return {length, true};
}

void append_escaped(std::string& out, char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\t': out += "\\t"; return;
    case '\r': out += "\\r"; return;
    default: break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20 && byte != 0x7f) {
    out += c;
  } else {
    out += "\\u00";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
}

}  // namespace

void JsonWriter::before_value() {
  const bool in_object = depth_ > 0 && ((objects_ >> (depth_ - 1)) & 1) != 0;
  FL_CHECK(keyed_ == in_object);
  FL_CHECK(depth_ > 0 || !written_);
  if (written_ && !keyed_) out_ += ',';
  keyed_ = false;
  written_ = true;
}

void JsonWriter::begin(char bracket, bool object) {
  before_value();
  FL_CHECK(depth_ < kMaxDepth);
  const std::uint64_t bit = std::uint64_t{1} << depth_++;
  objects_ = object ? objects_ | bit : objects_ & ~bit;
  written_ = false;
  out_ += bracket;
}

void JsonWriter::end(char bracket, bool object) {
  FL_CHECK(depth_ > 0 && !keyed_);
  FL_CHECK((((objects_ >> (depth_ - 1)) & 1) != 0) == object);
  --depth_;
  written_ = true;
  out_ += bracket;
}

JsonWriter& JsonWriter::begin_object() {
  begin('{', true);
  return *this;
}

JsonWriter& JsonWriter::end_object() {
  end('}', true);
  return *this;
}

JsonWriter& JsonWriter::begin_array() {
  begin('[', false);
  return *this;
}

JsonWriter& JsonWriter::end_array() {
  end(']', false);
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  FL_CHECK(depth_ > 0 && ((objects_ >> (depth_ - 1)) & 1) != 0 && !keyed_);
  if (written_) out_ += ',';
  quote(name);
  out_ += ':';
  keyed_ = true;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  before_value();
  quote(text);
  return *this;
}

JsonWriter& JsonWriter::value(double number) {
  if (!std::isfinite(number)) return null();
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number);
  return literal({text.data(), end.ptr});
}

JsonWriter& JsonWriter::integer(std::int64_t number) {
  std::array<char, 24> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number);
  return literal({text.data(), end.ptr});
}

JsonWriter& JsonWriter::natural(std::uint64_t number) {
  std::array<char, 24> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number);
  return literal({text.data(), end.ptr});
}

JsonWriter& JsonWriter::literal(std::string_view text) {
  before_value();
  out_ += text;
  return *this;
}

void JsonWriter::quote(std::string_view text) {
  out_ += '"';
  while (!text.empty()) {
    const Sequence sequence = utf8_sequence(text);
    if (!sequence.valid) {
      out_ += "\xef\xbf\xbd";  // U+FFFD
    } else if (sequence.bytes == 1) {
      append_escaped(out_, text.front());
    } else {
      out_ += text.substr(0, sequence.bytes);
    }
    text.remove_prefix(sequence.bytes);
  }
  out_ += '"';
}

}  // namespace fairlead::base
