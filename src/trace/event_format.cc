// SPDX-License-Identifier: Apache-2.0
#include "trace/event_format.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace fairlead::trace {

using base::ErrorKind;

namespace {

constexpr std::size_t kMostFields = 256;

std::string_view next_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// The number behind "key", which ends with the line or a semicolon.
template <typename T>
std::optional<T> number_after(std::string_view line, std::string_view key) {
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view digits = line.substr(at + key.size());
  T value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc() || (stop != end && *stop != ';')) return std::nullopt;
  return value;
}

// "char rwbs[10]" → "rwbs", "__data_loc char[] cmd" → "cmd".
std::string_view name_in(std::string_view declaration) {
  const std::size_t space = declaration.rfind(' ');
  if (space != std::string_view::npos) declaration.remove_prefix(space + 1);
  return declaration.substr(0, declaration.find('['));
}

std::optional<FormatField> field_of(std::string_view line) {
  constexpr std::string_view kKey = "field:";
  const std::size_t at = line.find(kKey);
  line.remove_prefix(at + kKey.size());
  const std::string_view name = name_in(line.substr(0, line.find(';')));
  const auto offset = number_after<std::uint32_t>(line, "\toffset:");
  const auto size = number_after<std::uint32_t>(line, "\tsize:");
  if (name.empty() || !offset || !size) return std::nullopt;
  if (*offset > kMostRecordBytes || *size > kMostRecordBytes - *offset) return std::nullopt;
  return FormatField{std::string(name), *offset, *size};
}

}  // namespace

base::Result<std::vector<FormatField>> parse_fields(std::string_view text) {
  std::vector<FormatField> fields;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    if (!line.starts_with("\tfield:")) continue;
    auto field = field_of(line);
    if (!field || fields.size() == kMostFields) {
      return base::fail(ErrorKind::kCorrupt,
                        "an event's format has a field that makes no sense: " + std::string(line));
    }
    fields.push_back(*std::move(field));
  }
  return fields;
}

base::Result<EventFormat> EventFormat::parse(std::string_view text) {
  EventFormat format;
  std::optional<std::uint16_t> id;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = next_line(rest);
    if (line.starts_with("name: ")) format.name_ = line.substr(6);
    if (line.starts_with("ID: ")) id = number_after<std::uint16_t>(line, "ID: ");
  }
  FL_TRY(format.fields_, parse_fields(text));
  if (format.name_.empty() || !id || format.fields_.empty()) {
    return base::fail(ErrorKind::kCorrupt, "an event's format has no name, ID or fields");
  }
  format.id_ = *id;
  return format;
}

const FormatField* EventFormat::find(std::string_view field) const noexcept {
  const auto found = std::ranges::find(fields_, field, &FormatField::name);
  return found == fields_.end() ? nullptr : &*found;
}

}  // namespace fairlead::trace
