// SPDX-License-Identifier: Apache-2.0
//
// TraceInstance: ring buffers, events and a clock of our own, <tracefs>/instances/fairlead-PID; so
// no other user of tracefs is disturbed, and none disturbs us.
//
// The kernel does not remove an instance of which a file is open.  So one that can be removed has
// no owner any more: create() removes those first, whatever ended their processes.  The instance
// itself ends with the object; a program that a signal is to end has to let that happen.
//
// Thread-safety: none.  Ownership: the instance.
// Errors: kNotFound where tracefs has no instances, kDenied without root.
// Source: Linux, Documentation/trace/ftrace.rst, "Instances".
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::trace {

class TraceInstance {
 public:
  static base::Result<TraceInstance> create(const std::string& tracefs);

  TraceInstance(TraceInstance&& other) noexcept = default;
  TraceInstance& operator=(TraceInstance&&) = delete;
  ~TraceInstance();

  // Every file of it that the caller has opened is closed by then.
  base::Status remove();

  const std::string& path() const noexcept { return path_; }
  base::Status write(std::string_view file, std::string_view text) const;
  base::Result<std::string> read(std::string_view file) const;

 private:
  TraceInstance(std::string path, base::Fd hold) noexcept
      : path_(std::move(path)), hold_(std::move(hold)) {}

  std::string path_;
  base::Fd hold_;  // an open file of it; none: it is removed, or moved from
};

}  // namespace fairlead::trace
