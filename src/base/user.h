// SPDX-License-Identifier: Apache-2.0
//
// Users by the names that people know.
//
// Thread-safety: reads the system's databases; any thread.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/error.h"

namespace fairlead::base {

// "alice"; "user 1000" if the system has no name for it.
std::string user_name(uid_t user);

// `what` was denied (EACCES) on `path`, a file of a service: says whose it is, if not ours.
Error denied_service(const std::string& what, const std::string& path);

}  // namespace fairlead::base
