// SPDX-License-Identifier: Apache-2.0
//
// Throttle: gives the service a drive's timing (document 004, "Virtual performance throttles").
//
//     fair queue ─► arrive ─► scheduler ─► dispatch ─┬► the data are read at once ──┐
//                                                    └► the model says when it ends ┴► answer
//
// A request is answered when both are there: the delay moves no data, and data that come late move
// no later request, because scheduler and model live in virtual time (disk/virtual_clock.h) and
// never see when anybody woke up.
//
// Thread-safety: none; the service thread's.  Nothing allocates for a request.  Times are the
// clock's nanoseconds unless a name says virtual.  Errors of open(): kInvalid, one line.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "base/result.h"
#include "block/disk_log.h"
#include "block/disk_stage.h"
#include "disk/dilation.h"
#include "disk/drive.h"
#include "disk/modelled_disk.h"
#include "disk/request_story.h"
#include "disk/virtual_clock.h"

namespace fairlead::block {

// A request's story in virtual time, told when it ends.
struct ThrottleStory : disk::RequestStory {
  disk::Slot slot = 0;
};

struct ThrottleOptions {
  std::string drive_name;
  disk::DriveShape drive;
  std::string scheduler = "noop";  // as disk/scheduler_table.h has it
  disk::SchedulerShape shape{.slots = 128, .owners = 4096};
  disk::DiskQueueing queueing{.depth = 2};
  double k = 1;
  bool locked = false;
  // For tests: the service thread calls them.  Arrivals in the order in which the
  // scheduler sees them.
  std::function<void(const ThrottleStory&)> on_arrival{};
  std::function<void(const ThrottleStory&)> on_end{};
  DiskLog* log = nullptr;  // each request that ends; borrowed
};

struct ThrottleStats {
  std::string drive;
  std::string scheduler;
  double k = 1;
  bool locked = false;
  std::uint64_t answered = 0;
  std::uint64_t transfers = 0;
  std::uint64_t hits = 0;       // transfers
  std::uint64_t late = 0;       // requests whose data came after the model's end
  std::uint64_t within = 0;     // answered within 2 % of the model's response time
  base::Histogram lateness_ns;  // of all answers, after the model's end
  base::Histogram service_ns;   // virtual, from dispatch
  base::Histogram response_ns;  // virtual, from arrival
  std::optional<DiskLogStats> log{};
};

class Throttle final : public DiskStage, private disk::DiskEvents {
 public:
  static base::Result<std::unique_ptr<Throttle>> open(const ThrottleOptions& options,
                                                      std::uint64_t image_sectors,
                                                      std::int64_t now_ns);

  void arrive(Ask ask, std::uint64_t sector, std::uint32_t count, std::uint32_t thread,
              std::int64_t now_ns) override;
  void advance(std::int64_t now_ns) override;
  void data_came(disk::Slot slot, bool good, std::int64_t now_ns) override;
  std::int64_t next_ns() const noexcept override;
  void tell(ServiceStats& stats) const override;
  ThrottleStats stats() const;

 private:
  struct Held {
    ThrottleStory story{};
    bool data = false;  // there, or failed
    bool good = false;
    bool ended = false;  // by the model
  };
  Throttle(const ThrottleOptions& options, std::unique_ptr<disk::Scheduler> scheduler,
           std::int64_t now_ns);
  void dispatched(const disk::Transfer& transfer, std::int64_t virtual_ns) override;
  void completed(const disk::Transfer& transfer, const disk::Access& access,
                 std::int64_t virtual_ns) override;
  void finish(disk::Slot slot, bool late);

  const ThrottleOptions options_;
  std::unique_ptr<disk::Scheduler> scheduler_;
  std::unique_ptr<disk::DiskModel> model_;
  disk::ModelledDisk disk_;
  disk::VirtualClock clock_;
  disk::Dilation dilation_;
  std::vector<Held> held_;
  ThrottleStats stats_;
  std::uint64_t arrivals_ = 0;
  std::int64_t now_ns_;
};

}  // namespace fairlead::block
