// SPDX-License-Identifier: Apache-2.0
//
// ScheduledDisk: a disk's scheduler in front of the image itself, with the image's own times.
//
// At most `depth` transfers have been taken from the scheduler and not ended; a transfer of several
// requests is read as so many reads at once, and has ended when all have.
//
// Thread-safety and times: as block/disk_stage.h.  Errors of open(): kInvalid, one line.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "block/disk_stage.h"
#include "disk/scheduler.h"

namespace fairlead::block {

struct ScheduledOptions {
  std::string scheduler = "noop";  // as disk/scheduler_table.h has it
  disk::SchedulerShape shape{.slots = 256, .owners = 4096};
  std::uint32_t depth = 32;
};

struct ScheduledStats {
  std::string scheduler;
  std::uint32_t depth = 0;
  std::uint64_t requests = 0;   // that were read
  std::uint64_t transfers = 0;  // in so many
};

class ScheduledDisk final : public DiskStage {
 public:
  static base::Result<std::unique_ptr<ScheduledDisk>> open(const ScheduledOptions& options);

  void arrive(Ask ask, std::uint64_t sector, std::uint32_t count, std::uint32_t thread,
              std::int64_t now_ns) override;
  void advance(std::int64_t now_ns) override;
  void data_came(disk::Slot slot, bool good, std::int64_t now_ns) override;
  std::int64_t next_ns() const noexcept override { return wait_ns_; }
  void tell(ServiceStats& stats) const override;

 private:
  struct Flight {
    disk::Transfer transfer;
    std::uint32_t left = 0;  // reads
  };

  ScheduledDisk(const ScheduledOptions& options, std::unique_ptr<disk::Scheduler> scheduler);
  void pump(std::int64_t now_ns);
  void begin(const disk::Transfer& transfer);

  std::unique_ptr<disk::Scheduler> scheduler_;
  std::vector<Flight> flights_;
  std::vector<std::uint32_t> free_flights_;
  std::vector<std::uint32_t> flight_of_;  // by slot
  std::int64_t wait_ns_ = kNever;         // the scheduler wants to be asked
  ScheduledStats stats_;
};

}  // namespace fairlead::block
