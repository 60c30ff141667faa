// SPDX-License-Identifier: Apache-2.0
//
// LoopDevice: a file as a block device, read-only, for as long as this object, or anybody else who
// has it open, lives: the kernel takes it away then, also after kill -9.  Its reads go past the
// host's page cache where the file's file system can do so.
//
// Thread-safety: none.  Errors: kDenied without root, kNotFound where there are no loop devices.
// Source: loop(4).
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::apps {

class LoopDevice {
 public:
  static base::Result<LoopDevice> attach(const std::string& file);

  const std::string& path() const noexcept { return path_; }  // /dev/loop0

 private:
  LoopDevice(base::Fd device, std::string path)
      : device_(std::move(device)), path_(std::move(path)) {}

  base::Fd device_;
  std::string path_;
};

}  // namespace fairlead::apps
