// SPDX-License-Identifier: Apache-2.0
//
// OriginalMasks: the masks that vCPUs had before the scheduler first changed them, in a file of the
// runtime folder, so that `vcpu --restore` can put them back, also after a kill -9.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/result.h"
#include "manage/hypervisor.h"

namespace fairlead::apps {

class OriginalMasks {
 public:
  // What the file holds; empty if there is none.  It is made at the first remember().
  static base::Result<OriginalMasks> open();

  // Written down before it returns, unless this vCPU's is known already.
  base::Status remember(const std::string& uuid, std::int32_t run_id, std::uint32_t vcpu,
                        const manage::CpuSet& mask);

  // Puts all of them back and removes the file; returns how many.  A guest that is gone, or was
  // started anew since, is passed over.
  base::Result<std::uint32_t> restore(manage::Hypervisor& hypervisor);

 private:
  struct Mask {
    std::int32_t run_id = 0;
    manage::CpuSet allowed;
  };

  explicit OriginalMasks(std::string path) : path_(std::move(path)) {}
  base::Status read();
  base::Status write() const;

  std::string path_;
  std::map<std::pair<std::string, std::uint32_t>, Mask> masks_;
};

}  // namespace fairlead::apps
