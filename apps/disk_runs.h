// SPDX-License-Identifier: Apache-2.0
//
// Simulated runs for `fairlead disk`: which workload, drive and queueing, and what came of them.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/drive_file.h"
#include "base/result.h"
#include "disk/modelled_disk.h"
#include "disk/request_trace.h"
#include "sim/disk_workload.h"
#include "sim/disk_world.h"
#include "sim/page_cache.h"

namespace fairlead::apps {

struct DiskRunOptions {
  std::string drive = "cheetah-15k4-mechanical";
  std::string workload = "study";
  // By default all of a trace without warm-up, else kRequests after kWarmUp.
  std::optional<std::uint64_t> requests;
  std::optional<std::uint64_t> warm_up;
  std::uint64_t seed = 1;
  disk::SchedulerShape shape;
  disk::DiskQueueing queueing{.depth = 2};
  sim::StudyShape study;
  sim::PageCacheShape page_cache;  // in front of the study
  sim::RandomShape random;
  std::string trace;  // replay: the file
  double speed = 1;   // replay

  static constexpr std::uint64_t kRequests = 50'000;
  static constexpr std::uint64_t kWarmUp = 1'000;
  static constexpr const char* kReplay = "replay";
  bool replays() const { return workload == kReplay; }
};

extern const std::vector<std::string> kDiskWorkloads;

// Drive and workload, checked once for all runs.
class DiskBench {
 public:
  static base::Result<DiskBench> open(const DiskRunOptions& options);

  // `scheduler` as make_scheduler() has it.
  base::Result<sim::DiskRun> run(const std::string& scheduler, std::uint64_t seed,
                                 std::function<void(const sim::DiskStory&)> on_end = {}) const;

  const Drive& drive() const noexcept { return drive_; }
  std::uint64_t requests() const noexcept { return *options_.requests; }

 private:
  DiskBench(const DiskRunOptions& options, Drive drive)
      : options_(options), drive_(std::move(drive)) {}
  base::Status check() const;
  base::Status read_trace();
  base::Result<std::unique_ptr<sim::DiskWorkload>> workload(std::uint64_t seed) const;
  base::Result<std::unique_ptr<sim::DiskWorkload>> study(std::uint64_t seed) const;

  DiskRunOptions options_;
  Drive drive_;
  disk::RequestTrace trace_;  // replay
};

// A mean over seeds, and half the width of its 95 % confidence interval (Student's t).
struct Estimate {
  double mean = 0;
  double half_width = 0;  // 0 for a single one
};
Estimate estimate(const std::vector<double>& values);

}  // namespace fairlead::apps
