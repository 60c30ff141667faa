// SPDX-License-Identifier: Apache-2.0
//
// All schedulers by name.  One of your own: a class with a constructor (shape, parameters) and a
// static parameters(), and a line in scheduler_table.cc.  docs/disk.md shows one.
//
// Thread-safety: functions of constant data.  Errors: kInvalid, one line that names what there is.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "disk/parameters.h"
#include "disk/scheduler.h"

namespace fairlead::disk {

struct SchedulerKind {
  const char* name;
  const char* purpose;
  std::vector<Parameter> (*parameters)();
  std::unique_ptr<Scheduler> (*make)(const SchedulerShape& shape, const Parameters& parameters);
};

std::span<const SchedulerKind> scheduler_kinds();

// "deadline", or "deadline:fifo_batch=1,read_expire=50ms".
base::Result<std::unique_ptr<Scheduler>> make_scheduler(std::string_view spec,
                                                        const SchedulerShape& shape);

// For those who only want to know whether that would work.
base::Status check_scheduler(std::string_view spec);

}  // namespace fairlead::disk
