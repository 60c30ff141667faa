// SPDX-License-Identifier: Apache-2.0
//
// LockFile: at most one process of a name.  An flock(2) on NAME.lock, which says who holds it
// (ProcessId).  The kernel releases it when the holder dies, however; a clean end removes the file.
//
// Thread-safety: none.  Ownership: belongs to the open file, so a fork shares it: after a fork the
// one that goes on calls claim(), the other must not destroy it before it exits (_exit is right).
// Errors: take() kBusy names the holder's pid.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "daemon/process_id.h"

namespace fairlead::daemon {

class LockFile {
 public:
  static base::Result<LockFile> take(const std::string& path);
  LockFile(LockFile&&) noexcept = default;
  LockFile& operator=(LockFile&&) = delete;
  ~LockFile();  // removes the file, if this process claimed it

  // Writes that this process is the holder.
  base::Status claim();

  struct Holder {
    std::optional<ProcessId> process;  // nullopt: it has not said yet (for microseconds)
  };
  // Who holds the lock of `path` at this moment; nullopt: nobody.
  static base::Result<std::optional<Holder>> holder(const std::string& path);

  int fd() const noexcept { return file_.get(); }

 private:
  LockFile(base::Fd file, std::string path) noexcept
      : file_(std::move(file)), path_(std::move(path)) {}

  base::Fd file_;
  std::string path_;
  pid_t claimed_by_ = 0;
};

}  // namespace fairlead::daemon
