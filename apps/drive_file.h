// SPDX-License-Identifier: Apache-2.0
//
// Drives by name, or from a TOML file of the user's.  docs/disk.md lists the keys.
//
// Thread-safety: pure functions, but for reading the file.  Errors: kNotFound with the names there
// are; kInvalid with file, line and what is expected.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "disk/drive.h"

namespace fairlead::apps {

struct Drive {
  std::string name;
  std::string about;
  disk::DriveShape shape;
};

// The text of a drive that is built in (drives/*.toml).
struct BuiltInDrive {
  const char* name;
  const char* text;
};
extern const std::vector<BuiltInDrive> kBuiltInDrives;  // by name

base::Result<Drive> parse_drive(const std::string& text, const std::string& origin);

// A name of the above, or the path of a file.
base::Result<Drive> find_drive(const std::string& name);

}  // namespace fairlead::apps
