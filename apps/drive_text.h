// SPDX-License-Identifier: Apache-2.0
//
// A drive as the TOML that drive_file.h reads.
//
// Thread-safety: pure functions.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "apps/drive_file.h"

namespace fairlead::apps {

const char* model_name(const disk::DriveShape& shape);

// Keys and values of the model's own, as they stand in a file; without zones and cache.
std::vector<std::pair<std::string, std::string>> drive_values(const disk::DriveShape& shape);

std::string drive_text(const Drive& drive);

}  // namespace fairlead::apps
