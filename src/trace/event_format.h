// SPDX-License-Identifier: Apache-2.0
//
// EventFormat: where the fields of a tracepoint's record lie, as the running kernel says it in
// events/SUBSYSTEM/EVENT/format.  Nothing else says it: fields move between kernel versions.
//
//     name: block_bio_queue
//     ID: 2097
//     format:
//             field:sector_t sector;	offset:16;	size:8;	signed:0;
//
// Thread-safety: a value.  Offsets and sizes in bytes, of the record that a ring buffer page holds.
// Errors: kCorrupt for text that is no format, or whose fields lie beyond kMostRecordBytes.
// Source: Linux, Documentation/trace/events.rst.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::trace {

inline constexpr std::uint32_t kMostRecordBytes = 65'536;

struct FormatField {
  std::string name;  // "rwbs" of "char rwbs[10]"
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
};

class EventFormat {
 public:
  static base::Result<EventFormat> parse(std::string_view text);

  // nullptr if this kernel's event has no such field.
  const FormatField* find(std::string_view field) const noexcept;

  const std::string& name() const noexcept { return name_; }
  std::uint16_t id() const noexcept { return id_; }  // common_type of its records

 private:
  std::string name_;
  std::uint16_t id_ = 0;
  std::vector<FormatField> fields_;
};

// The field lines of a text, whatever else stands in it: also those of events/header_page.
base::Result<std::vector<FormatField>> parse_fields(std::string_view text);

}  // namespace fairlead::trace
