// SPDX-License-Identifier: Apache-2.0
//
// JsonWriter: appends one JSON value (RFC 8259) to a string, for the lines of `-o json`.
//
//     std::string line;
//     JsonWriter(line).begin_object().member("event", "end").member("reads", count).end_object();
//
// On one line, whatever it is given: control characters are escaped, invalid UTF-8 becomes U+FFFD
// (one for each maximal subpart, Unicode 15, section 3.9), a double that is not finite becomes
// null.  Doubles are written in the fewest digits that read back the same.  No locale.
//
// A call out of place (a value where a key is due, an end without its begin) is a bug of ours and
// aborts.  At most 64 levels.
//
// Thread-safety: none.  The string must outlive the writer.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace fairlead::base {

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) noexcept : out_(out) {}

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& value(double number);
  JsonWriter& value(std::same_as<bool> auto flag) { return literal(flag ? "true" : "false"); }
  template <std::integral T>
    requires(!std::same_as<T, bool> && !std::same_as<T, char>)
  JsonWriter& value(T number) {
    if constexpr (std::signed_integral<T>) {
      return integer(static_cast<std::int64_t>(number));
    } else {
      return natural(static_cast<std::uint64_t>(number));
    }
  }
  JsonWriter& null() { return literal("null"); }

  template <typename T>
  JsonWriter& member(std::string_view name, const T& content) {
    return key(name).value(content);
  }

  // One whole value has been written.
  bool complete() const noexcept { return depth_ == 0 && written_; }

 private:
  JsonWriter& integer(std::int64_t number);
  JsonWriter& natural(std::uint64_t number);
  JsonWriter& literal(std::string_view text);
  void before_value();
  void begin(char bracket, bool object);
  void end(char bracket, bool object);
  void quote(std::string_view text);

  std::string& out_;
  std::uint64_t objects_ = 0;  // bit n: level n + 1 is an object
  unsigned depth_ = 0;
  bool written_ = false;  // something stands on this level: a comma is due
  bool keyed_ = false;    // a key stands, its value is due
};

}  // namespace fairlead::base
