// SPDX-License-Identifier: Apache-2.0
//
// The lock of a manager that acts: one process of a kind ("vcpu", "memory") in a runtime folder.
// Two would undo each other's work, and each would overwrite what the other wrote down.
// Its file is manager@KIND.lock: no service can be called so.
//
// Thread-safety: as daemon::LockFile.  Errors: kBusy says which process has it.
#pragma once

#include <string>

#include "base/result.h"
#include "daemon/lock_file.h"

namespace fairlead::apps {

base::Result<daemon::LockFile> take_manager_lock(const std::string& kind);

}  // namespace fairlead::apps
