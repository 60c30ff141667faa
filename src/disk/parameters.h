// SPDX-License-Identifier: Apache-2.0
//
// Parameters: the constants of a scheduler, by name, each with its default and where that is from.
// They are read once, by a constructor.
//
// Thread-safety: a value.  Errors of set(): kInvalid, one line that names what there is.  Asking
// for a name that is not there is our bug: FL_CHECK.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::disk {

enum class Unit : std::uint8_t { kCount, kNs, kSectors };

struct Parameter {
  const char* name;
  std::int64_t value;
  Unit unit;
  const char* source;
  std::int64_t least = 0;
  std::int64_t most = std::int64_t{1} << 40;
};

class Parameters {
 public:
  explicit Parameters(std::vector<Parameter> all) : all_(std::move(all)) {}

  std::int64_t operator[](std::string_view name) const;
  std::uint32_t count(std::string_view name) const;  // the same, for what is small

  // "500ms" for times, else whole numbers.
  base::Status set(std::string_view name, std::string_view text);
  // "read_expire=500ms,fifo_batch=16"
  base::Status set_all(std::string_view list);

 private:
  std::vector<Parameter> all_;
};

// The value as set() takes it.
std::string text_of(const Parameter& parameter);

}  // namespace fairlead::disk
