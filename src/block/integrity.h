// SPDX-License-Identifier: Apache-2.0
//
// Integrity: compares what a client was given with the image: for each line n of sectors.PID the
// n-th 512 bytes of read.PID must be the image's sector of that number (document 000, 3-3).
//
// Thread-safety: free functions.  Errors: files that cannot be read or do not fit together.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"

namespace fairlead::block {

struct IntegrityFiles {
  std::string sectors;
  std::string data;
  std::string image;
};

// Which of three paths is which: by the names sectors.* and read.*, else by content.
base::Result<IntegrityFiles> sort_out(std::span<const std::string> paths);

struct Mismatch {
  std::uint64_t record = 0;  // from zero
  std::uint64_t sector = 0;
  std::uint32_t byte = 0;  // first that differs
};

struct IntegrityResult {
  std::uint64_t records = 0;
  std::uint64_t matched = 0;
  std::optional<Mismatch> first_mismatch;
  bool good() const noexcept { return records > 0 && records == matched; }  // none proves nothing
};

base::Result<IntegrityResult> compare(const IntegrityFiles& files);

}  // namespace fairlead::block
