// SPDX-License-Identifier: Apache-2.0
//
// Document 003, slides 19-24: a guest reads a file of 100 MB from its disk, which is a loop device
// of the host, while one side's I/O scheduler varies and the other has none.  Where the time of
// each I/O went, and what was merged.
//
//     folder/disk.img ── loop device ── QEMU ── virtio-blk ── ext4 of the guest ── dd
//          └─ host's scheduler                     └─ guest's scheduler
//
// Thread-safety: none.  What it makes it takes away: the guest, the loop device, a libvirt daemon
// where none answered, the disk's file; the recordings stay.
// Errors: kDenied without root (loop device, tracefs); those of guest/lab.h and trace/recorder.h;
// kClosed if the end was asked for.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "trace/stages.h"

namespace fairlead::apps {

struct SideFigures {
  double requests = 0;
  double merges = 0;
  double merged_kib = 0;   // that were merged into another's request
  double request_kib = 0;  // of a request, on average
};

// Of one reading of the file, or the medians of several.
struct SchedulerRun {
  std::string side;  // whose scheduler varies: guest or host
  std::string scheduler;
  std::uint32_t round = 0;
  double seconds = 0;  // from the first I/O queued to the last complete
  std::array<double, trace::kStages> stage_us{};
  double q2c_us = 0;
  double bound_us = 0;  // of U-T and 0-T
  double ios = 0;       // of the guest that have all five stages
  double unmatched = 0;
  double lost = 0;
  SideFigures guest;
  SideFigures host;
};

struct SchedulerPlan {
  std::string folder;
  std::vector<std::string> sides = {"guest", "host"};
  std::uint32_t rounds = 5;  // odd, interleaved
  std::function<void(std::string_view)> on_step;
  int stop_fd = -1;
};

base::Result<std::vector<SchedulerRun>> study_schedulers(const SchedulerPlan& plan);

// One for each side and scheduler, in the order in which they are first there.
std::vector<SchedulerRun> medians(const std::vector<SchedulerRun>& runs);

void for_each_figure(SchedulerRun& run,
                     const std::function<void(const char* name, double value)>& take);

std::string schedulers_csv(const std::vector<SchedulerRun>& runs);
std::string schedulers_text(const std::vector<SchedulerRun>& runs);
// gnuplot: NAME-schedulers.csv into NAME-schedulers.svg.
std::string schedulers_script(std::string_view side);

}  // namespace fairlead::apps
