// SPDX-License-Identifier: Apache-2.0
//
// Notes: what a Trace holds and blktrace's records do not, as the text of notify messages.
//
//     fairlead loss records=12 bytes=0 cause=full first_ns=1000 last_ns=2000
//
// blkparse prints them as lines `m`; no tool is disturbed by them.  A verb, then values by name, in
// printable ASCII: any other byte, spaces and % are written as %XX.
//
// A value's text is at most kMostNoteText long; of longer ones the beginning is written.
//
// Thread-safety: none.  The text of a NoteReader must outlive it.  What is read is untrusted:
// the first thing that is wrong with it stays as the problem, and its values read as nothing.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace fairlead::trace {

inline constexpr std::size_t kMostNoteText = 4096;

class NoteWriter {
 public:
  explicit NoteWriter(std::string_view verb) : text_(fmt::format("fairlead {}", verb)) {}

  template <std::integral T>
  NoteWriter& with(std::string_view name, T number) {
    text_ += fmt::format(" {}={}", name, number);
    return *this;
  }
  NoteWriter& with(std::string_view name, std::string_view text);
  // As blkparse prints it: "8,0".
  NoteWriter& with_device(std::string_view name, std::uint32_t device);

  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

class NoteReader {
 public:
  // The verb is empty if it is no note of ours.
  explicit NoteReader(std::string_view text);

  std::string_view verb() const noexcept { return verb_; }
  bool has(std::string_view name) const { return raw(name).data() != nullptr; }

  template <std::integral T>
  T number(std::string_view name) {
    const std::string_view digits = raw(name);
    T value{};
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
    if (digits.empty() || error != std::errc{} || end != digits.end()) return wrong(name), T{};
    return value;
  }
  std::string text(std::string_view name);
  std::uint32_t device(std::string_view name);

  void wrong(std::string_view name);
  const std::string& problem() const noexcept { return problem_; }

 private:
  std::string_view raw(std::string_view name) const;  // without data if there is none

  std::string_view verb_;
  std::string_view values_;
  std::string problem_;
};

}  // namespace fairlead::trace
