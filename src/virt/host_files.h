// SPDX-License-Identifier: Apache-2.0
//
// HostFiles: what /proc and /sys say about this host's processors and memory.
//
// Sources: proc(5) for stat and meminfo, Documentation/ABI/stable/sysfs-devices-system-cpu and
// Documentation/accounting/psi.rst of Linux.
//
// Thread-safety: none.  Errors: what cannot be read or has not the documented form is kIo or
// kCorrupt with the path; pressure and topology may be missing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "manage/sample.h"

namespace fairlead::virt {

class HostFiles {
 public:
  // Other roots than "/" are for tests.
  explicit HostFiles(std::string root = "/") : root_(std::move(root)) {}

  // Online processors by rising number; topology is read when they change.  Niced processes are
  // not busy: they leave the processor to a guest that wants it.
  base::Result<std::vector<manage::PcpuSample>> processors();
  base::Result<manage::HostMemory> memory() const;

 private:
  struct Place {
    std::uint32_t cpu = 0;
    std::uint32_t core = 0;
    std::uint32_t cache = 0;
    std::uint32_t node = 0;
  };

  void learn_topology(const std::vector<manage::PcpuSample>& online);
  std::uint32_t lowest_of(const std::string& path, std::uint32_t otherwise) const;

  std::string root_;
  std::vector<Place> places_;
};

// The "cpuN" lines of /proc/stat; busy time in nanoseconds from ticks of `ticks_per_second`.
base::Result<std::vector<manage::PcpuSample>> parse_stat(std::string_view text,
                                                         std::int64_t ticks_per_second);
base::Result<manage::HostMemory> parse_meminfo(std::string_view text);

}  // namespace fairlead::virt
