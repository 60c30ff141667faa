// SPDX-License-Identifier: Apache-2.0
//
// LoopDevice: a file as a block device, read-only, for as long as this object, or anybody else who
// has it open, lives: the kernel takes it away then, also after kill -9.
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
  // Whether its reads go past the host's page cache, as far as the file's file system can.
  bool direct() const noexcept { return direct_; }

 private:
  LoopDevice(base::Fd device, std::string path, bool direct)
      : device_(std::move(device)), path_(std::move(path)), direct_(direct) {}

  base::Fd device_;
  std::string path_;
  bool direct_;
};

}  // namespace fairlead::apps
