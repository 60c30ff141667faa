// SPDX-License-Identifier: Apache-2.0
//
// OriginalMasks: the masks that vCPUs had before the scheduler first changed them, in a file of the
// runtime folder, so that `vcpu --restore` can put them back, also after a kill -9.
//
// A mask holds for one run of a guest.  libvirt's number of a run does not tell runs apart: it
// begins anew with the host, and with libvirtd where no guest is left running.  So there stand with
// it the host's boot id, and the processor time of the guest's process when the mask was written
// down, which never falls within a run.  A later run of the same number passes for the earlier one
// only if it has used more than that by now.
//
// Thread-safety: none.  Processes: who writes holds take_manager_lock("vcpu").
// Errors: kCorrupt for a file that is damaged; it is left as it is.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "manage/cpu_manager.h"
#include "manage/hypervisor.h"

namespace fairlead::apps {

class OriginalMasks {
 public:
  struct Run {
    std::int32_t id = 0;
    std::optional<std::uint64_t> process_ns;

    static Run of(const manage::GuestSample& guest) { return {guest.run_id, guest.process_ns}; }
  };

  // What the file holds, for guests of the libvirt at `uri`.  open() makes the folder if need be,
  // the file is made by the first pin(); look() makes nothing.
  static base::Result<OriginalMasks> open(std::string uri);
  static base::Result<OriginalMasks> look(std::string uri);

  // Carries out `pin`.  The mask of before is on the disk before the vCPU gets another, unless an
  // earlier one of this run is; of a pin that is refused nothing stays.
  base::Status pin(manage::Hypervisor& hypervisor, const manage::Pin& pin, const Run& run);

  struct Restored {
    std::uint32_t vcpus = 0;
    std::vector<std::string> kept;  // whose mask stays in the file, and why, a line each
  };
  // Puts back what it can, and keeps the rest but for runs that are over.
  base::Result<Restored> restore(manage::Hypervisor& hypervisor);

  // What restore() would change or keep, a line a vCPU.  Changes nothing.
  base::Result<std::vector<std::string>> preview(manage::Hypervisor& hypervisor) const;

 private:
  using Key = std::pair<std::string, std::uint32_t>;  // uuid, vCPU
  struct Mask {
    std::string name;  // of the guest
    std::string uri;
    Run run;
    manage::CpuSet allowed;
  };
  enum class Case : std::uint8_t { kHere, kOver, kNotSeen, kElsewhere, kUnplugged };
  struct Found {
    Case what = Case::kNotSeen;
    manage::CpuSet now;  // kHere
  };
  // Neither: the run is over.
  struct Outcome {
    bool done = false;
    std::optional<std::string> kept{};  // why
  };

  OriginalMasks(std::string path, std::string uri) : path_(std::move(path)), uri_(std::move(uri)) {}
  static base::Result<OriginalMasks> from(const std::string& folder, std::string uri);
  base::Status read();
  base::Status write() const;
  base::Result<bool> remember(const manage::Pin& pin, const Run& run);
  Found find(const Key& key, const Mask& mask, const manage::Sample& sample) const;
  static Outcome put_back(manage::Hypervisor& hypervisor, const Key& key, const Mask& mask,
                          Case found);

  std::string path_;
  std::string uri_;
  std::string boot_id_;
  std::map<Key, Mask> masks_;
};

}  // namespace fairlead::apps
