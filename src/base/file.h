// SPDX-License-Identifier: Apache-2.0
//
// Whole files, small ones: read with a bound, written so that a crash leaves the old or the new.
//
// Thread-safety: pure functions over the file system.  Errors name the path and the errno.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fairlead::base {

// All of a file; kLimit if it holds more than `max_bytes`.  Works where the size is not known
// beforehand (/proc, a pipe).
Result<std::string> read_file(const std::string& path, std::size_t max_bytes);

// All of `bytes`, through short writes and EINTR.  On error some may have been written.  A full
// non-blocking descriptor is kBusy; a pipe or socket without a reader raises SIGPIPE as write(2)
// does, unless the process ignores it.
Status write_all(int fd, std::string_view bytes);

// Replaces or creates `path`.  Written beside it under a temporary name, synced, renamed, and the
// folder synced: after a power cut the file holds the old content or the new, never a mixture.  An
// error leaves the old file and no temporary one, save that of syncing the folder, which comes when
// the new one is in place.  A symbolic link at `path` is itself replaced.
Status write_file_atomic(const std::string& path, std::string_view bytes, mode_t mode = 0644);

}  // namespace fairlead::base
