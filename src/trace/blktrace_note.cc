// SPDX-License-Identifier: Apache-2.0
#include "trace/blktrace_note.h"

#include "base/quote.h"
#include "trace/block_text.h"

namespace fairlead::trace {
namespace {

constexpr std::string_view kNotePrefix = "fairlead ";

// Up to the next space, which goes as well.
std::string_view next_word(std::string_view& text) {
  const std::size_t space = text.find(' ');
  const std::string_view word = text.substr(0, space);
  text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  return word;
}

}  // namespace

NoteWriter& NoteWriter::with(std::string_view name, std::string_view text) {
  text_ += fmt::format(" {}=", name);
  for (const char c : text.substr(0, kMostNoteText)) {
    if (c > ' ' && c <= '~' && c != '%') {
      text_ += c;
    } else {
      text_ += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return *this;
}

NoteWriter& NoteWriter::with_device(std::string_view name, std::uint32_t device) {
  return with(name, device_text(device));
}

NoteReader::NoteReader(std::string_view text) {
  if (!text.starts_with(kNotePrefix)) return;
  values_ = text.substr(kNotePrefix.size());
  verb_ = next_word(values_);
}

std::string_view NoteReader::raw(std::string_view name) const {
  for (std::string_view left = values_; !left.empty();) {
    const std::string_view word = next_word(left);
    if (word.starts_with(name) && word.size() > name.size() && word[name.size()] == '=') {
      return word.substr(name.size() + 1);
    }
  }
  return {};
}

std::string NoteReader::text(std::string_view name) {
  const std::string_view written = raw(name);
  if (written.data() == nullptr) wrong(name);
  std::string text;
  for (std::size_t i = 0; i < written.size(); ++i) {
    unsigned byte = static_cast<unsigned char>(written[i]);
    if (written[i] == '%') {
      const std::string_view digits = written.substr(i + 1, 2);
      const auto [end, error] = std::from_chars(digits.begin(), digits.end(), byte, 16);
      if (digits.size() != 2 || error != std::errc{} || end != digits.end()) {
        wrong(name);
        return {};
      }
      i += 2;
    }
    text += static_cast<char>(byte);
  }
  if (text.size() > kMostNoteText) wrong(name);
  return text;
}

std::uint32_t NoteReader::device(std::string_view name) {
  const std::string_view text = raw(name);
  const std::size_t comma = text.find(',');
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  if (comma != std::string_view::npos) {
    const auto [end, error] = std::from_chars(text.begin(), text.begin() + comma, major);
    const auto [last, second] = std::from_chars(text.begin() + comma + 1, text.end(), minor);
    if (error == std::errc{} && second == std::errc{} && end == text.begin() + comma &&
        last == text.end() && major < 4096 && minor < (1U << 20)) {
      return major << 20 | minor;
    }
  }
  wrong(name);
  return 0;
}

void NoteReader::wrong(std::string_view name) {
  if (problem_.empty()) {
    problem_ = fmt::format("the note {} has no right '{}'", base::quoted(verb_), name);
  }
}

}  // namespace fairlead::trace
