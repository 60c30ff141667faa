// SPDX-License-Identifier: Apache-2.0
//
// Runs gnuplot on a script that draws into the script's own folder.
//
// Thread-safety: any thread.  Errors: kIo if gnuplot fails.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace fairlead::apps {

// False: there is no gnuplot here, and nothing was drawn.
base::Result<bool> draw(const std::filesystem::path& folder, const std::string& script);

}  // namespace fairlead::apps
