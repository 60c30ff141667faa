// SPDX-License-Identifier: Apache-2.0
//
// LibvirtHypervisor: manage::Hypervisor on a libvirt connection to this host.
//
// One bulk call a sample (virConnectGetAllDomainStats), and one call a guest for its masks.  Where
// a driver has no bulk statistics (test:///), its single calls are used.  A connection that broke
// is opened anew by the next call.  Counters are as libvirt has them: "vcpu.N.time" in ticks of
// 10 ms, "vcpu.N.delay" in nanoseconds.
//
// Thread-safety: none.  Ownership: the connection.  Errors: as manage/hypervisor.h says.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "manage/hypervisor.h"
#include "virt/host_files.h"

namespace fairlead::virt {

// kRead changes nothing, and libvirt lets more users have it; kWriteIfPermitted falls back to it.
enum class Access : std::uint8_t { kWrite, kRead, kWriteIfPermitted };

struct LibvirtOptions {
  std::string uri = "qemu:///system";
  bool processors = true;  // sample vCPUs and their masks
  bool memory = true;      // sample balloons
  Access access = Access::kWrite;
};

class LibvirtHypervisor final : public manage::Hypervisor {
 public:
  // kInvalid for the URI of another host; kClosed with libvirt's own words if none answers.
  static base::Result<std::unique_ptr<LibvirtHypervisor>> open(LibvirtOptions options);
  ~LibvirtHypervisor() override;

  base::Result<manage::Sample> sample() override;
  base::Status pin(const std::string& uuid, std::uint32_t vcpu,
                   const manage::CpuSet& allowed) override;
  base::Status set_memory(const std::string& uuid, std::uint64_t bytes) override;
  base::Status set_stats_period(const std::string& uuid, std::uint32_t seconds) override;

 private:
  class Connection;

  explicit LibvirtHypervisor(LibvirtOptions options);
  base::Status connect();

  LibvirtOptions options_;
  HostFiles host_;
  base::SystemClock clock_;
  std::unique_ptr<Connection> connection_;  // null: broken
};

}  // namespace fairlead::virt
