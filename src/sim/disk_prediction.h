// SPDX-License-Identifier: Apache-2.0
//
// From a run under one scheduler to what others would do on the same disk: a model is fitted to
// the run (disk/drive_fit.h, transfers in line), and the others run on it, with what the processes
// asked (resampled_workload.h).
//
// The interval.  Each of `draws` has a drive fitted to half of the run, chosen by chance in
// stretches (such fits spread around the whole one as that does around the truth), and processes
// that begin elsewhere in what they did.  With mean m and deviation s over n draws, and c what was
// observed as a share of what the model says for the scheduler that ran,
//
//     c · m  ±  c · sqrt( (t · s)² · (1 + 1/n) + (m · b)² )     t: Student's, 95 %
//                                                               b: the larger of c − 1 and 1/c − 1
//
// so that one more run would be within, if the model were right, and a model that is wrong is
// corrected by how wrong it is where that can be seen, and trusted as much less.
//
// The first tenth of a trace, and of each run, is warm-up.
//
// Thread-safety: pure functions; the same seed gives the same answer.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "disk/drive_fit.h"
#include "sim/disk_world.h"
#include "sim/resampled_workload.h"

namespace fairlead::sim {

// service ms, response ms, p99 of response ms, sectors a ms
inline constexpr std::size_t kPredictedFigures = 4;
using PredictedFigures = std::array<double, kPredictedFigures>;

PredictedFigures predicted_figures(const DiskRun& run);

// What a trace tells of its run, but for its first tenth.
DiskRun observed_run(const disk::RequestTrace& trace);

struct PredictionPlan {
  std::string ran;                      // the scheduler that the trace is of
  std::vector<std::string> schedulers;  // those to predict
  disk::SchedulerShape shape{};
  disk::DiskQueueing queueing{.depth = 2};
  Loop loop = Loop::kClosed;
  std::uint32_t draws = 10;
  std::uint64_t seed = 1;
  std::function<void(std::string_view)> on_step{};  // what is done now, for who waits
};

struct PredictedScheduler {
  std::string scheduler;
  PredictedFigures mean{};
  PredictedFigures half_width{};
};

struct DiskPrediction {
  disk::DriveFit fit;
  std::uint64_t requests = 0;  // of each run
  double early = 0;            // share of requests that did not wait for their process' last answer
  PredictedFigures observed{};
  PredictedScheduler own;  // the scheduler that ran, not corrected, the draws' interval
  std::vector<PredictedScheduler> others;
};

// `trace` fits on the drive that is like it.
base::Result<DiskPrediction> predict(const disk::RequestTrace& trace, const disk::DriveShape& like,
                                     const PredictionPlan& plan);

}  // namespace fairlead::sim
