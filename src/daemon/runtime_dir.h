// SPDX-License-Identifier: Apache-2.0
//
// The folder of runtime files and what lies in it.
//
//     $FAIRLEAD_RUNTIME_DIR, else $XDG_RUNTIME_DIR/fairlead, else /run/fairlead
//       NAME.sock  where clients register     NAME.log   what a detached daemon says
//       NAME.lock  held while it lives        NAME.last  its last report
//     manager@vcpu.lock, manager@memory.lock are the managers', whatever services are called;
//     vcpu.masks is what --restore puts back.
//
// Thread-safety: values; open() reads the environment.
// Errors: kDenied if it cannot be made or belongs to somebody else (who is named: a client must be
// of the service's user), kInvalid for a bad name, for a path that does not fit a socket address,
// for what is no folder or can be written by others; kNotFound (kUse) if it does not exist: then no
// service runs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fairlead::daemon {

// Absolute paths of one service.
struct RuntimeFiles {
  std::string socket;
  std::string lock;
  std::string log;
  std::string last;
};

class RuntimeDir {
 public:
  enum class Purpose : std::uint8_t {
    kServe,  // made with mode 0700 if missing; must be ours
    kUse,    // must exist; ours or root's (root may use anybody's)
  };

  static base::Result<RuntimeDir> open(Purpose purpose);                       // by environment
  static base::Result<RuntimeDir> open_at(std::string path, Purpose purpose);  // here

  // A name of a service: 1 to 64 of A-Z a-z 0-9 _ . -, not starting with a dot.
  static base::Status check_name(std::string_view name);

  // The files of the service `name`.
  base::Result<RuntimeFiles> files(std::string_view name) const;
  const std::string& path() const noexcept { return path_; }  // absolute

 private:
  explicit RuntimeDir(std::string path) noexcept : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace fairlead::daemon
