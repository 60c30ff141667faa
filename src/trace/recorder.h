// SPDX-License-Identifier: Apache-2.0
//
// Recorder: polls live sources into a recording until told to stop.
//
// Thread-safety: one thread.  Ownership: owns the sources and the file.
// Errors: the first of a source or of the file ends it; what was read before is in the file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/live_source.h"
#include "trace/trace_file.h"

namespace fairlead::trace {

class Recorder {
 public:
  static base::Result<Recorder> create(const std::string& path);

  void add(std::unique_ptr<LiveSource> source);

  // Until `stop()` says so or all sources have ended; stop is asked every few milliseconds.
  base::Status run(const std::function<bool()>& stop);

  std::uint64_t events() const noexcept { return file_.events(); }
  std::uint64_t lost() const noexcept { return file_.lost(); }

 private:
  explicit Recorder(TraceFileWriter file) : file_(std::move(file)) {}
  base::Status poll_until(const std::function<bool()>& stop);

  TraceFileWriter file_;
  std::vector<std::unique_ptr<LiveSource>> sources_;
};

}  // namespace fairlead::trace
