// SPDX-License-Identifier: Apache-2.0
//
// HostSource: block events of this host's kernel, for the devices asked for.
//
// Thread-safety: the recorder's thread.  Ownership: the kernel source, whose instance ends with it.
// Errors: those of KernelSource; kUnsupported where the kernel cannot stamp by the clock that this
// program reads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trace/kernel_source.h"
#include "trace/live_source.h"

namespace fairlead::trace {

class HostSource final : public LiveSource {
 public:
  // By the names in /dev, as vda or loop0, or paths.
  static base::Result<std::unique_ptr<HostSource>> open(const std::vector<std::string>& devices);

  void introduce(TraceFileWriter& file) override;
  base::Result<bool> poll(TraceFileWriter& file) override;
  base::Status finish(TraceFileWriter& file) override;

 private:
  explicit HostSource(KernelSource kernel) : kernel_(std::move(kernel)) {}

  KernelSource kernel_;
  std::uint16_t number_ = 0;
};

}  // namespace fairlead::trace
