// SPDX-License-Identifier: Apache-2.0
//
// What `fairlead disk simulate` and `compare` are told.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/command_line.h"
#include "apps/disk_runs.h"

namespace fairlead::apps {

inline constexpr const char* kDisk = "fairlead-disk";

struct DiskOptions {
  DiskRunOptions run;
  std::string scheduler = "cats";     // simulate
  std::string log;                    // simulate
  std::vector<std::string> compared;  // compare; none: all
  std::uint32_t seeds = 5;            // compare
  std::string folder;                 // compare
  std::string output = "text";

  std::vector<std::string> schedulers() const;
};

std::vector<std::string> scheduler_names();  // all of them
Check is_scheduler();                        // with parameters, or without

// What a scheduler and the disk have at once; the scheduler's clock.
void add_queue_options(Command command, disk::SchedulerShape& shape, disk::DiskQueueing& queueing);
void add_run_options(Command command, DiskOptions& options);
void add_simulate_options(Command command, DiskOptions& options);
void add_compare_options(Command command, DiskOptions& options);

}  // namespace fairlead::apps
