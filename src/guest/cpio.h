// SPDX-License-Identifier: Apache-2.0
//
// CpioWriter: an archive in the "newc" format, as Linux unpacks it into its first file system
// (Documentation/driver-api/early-userspace/buffer-format.rst).
//
// The same calls give the same bytes: no times, no users, inodes numbered from 1.  Folders have to
// be added before what lies in them; a name is relative, without "." or ".." parts.
//
// Thread-safety: none.
// Errors: kInvalid for such a name or one that was added before, kLimit for content of 4 GiB.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fairlead::guest {

class CpioWriter {
 public:
  base::Status add_folder(std::string_view name, std::uint32_t mode = 0755);
  base::Status add_file(std::string_view name, std::string_view content, std::uint32_t mode = 0644);
  base::Status add_link(std::string_view name, std::string_view target);

  // Ends the archive; the writer is empty after.
  std::string finish();

 private:
  base::Status add(std::string_view name, std::string_view content, std::uint32_t mode);
  void write(std::string_view name, std::string_view content, std::uint32_t mode);
  void pad();

  std::string out_;
  std::set<std::string, std::less<>> names_;
  std::uint32_t inode_ = 0;
};

}  // namespace fairlead::guest
