// SPDX-License-Identifier: Apache-2.0
//
// One sample out of a recording: what recording.h writes, read back and checked.
//
// Thread-safety: a pure function.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "manage/sample.h"

namespace fairlead::manage {

// The first thing that is wrong goes to `problem`: a field that is missing, of the wrong type or
// out of range, a processor, guest or vCPU that is there twice.  The sample is of use only if
// nothing is.
Sample recorded_sample(const nlohmann::json& json, std::string& problem);

}  // namespace fairlead::manage
