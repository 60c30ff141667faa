// SPDX-License-Identifier: Apache-2.0
#include "sim/disk_prediction.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/histogram.h"
#include "base/student.h"
#include "disk/scheduler_table.h"

namespace fairlead::sim {
namespace {

constexpr double kMsInNs = 1e6;
constexpr std::uint64_t kMostRequests = 100'000;  // of a run
constexpr std::uint64_t kWarmUpPart = 10;

class Predictor {
 public:
  Predictor(const disk::RequestTrace& trace, const disk::DriveShape& like,
            const PredictionPlan& plan)
      : like_(like),
        plan_(plan),
        timed_(disk::fit_trace(trace, disk::FitQueue::kInLine)),
        chains_(chains_of(trace, plan.loop, trace.requests.size() / kWarmUpPart)),
        shape_(plan.shape),
        requests_(std::min<std::uint64_t>(trace.requests.size(), kMostRequests)) {
    shape_.owners = std::max(shape_.owners, chains_.owners);
  }

  base::Result<DiskPrediction> predict(const disk::RequestTrace& trace) {
    DiskPrediction out;
    out.requests = requests_ - requests_ / kWarmUpPart;
    out.observed = predicted_figures(observed_run(trace));
    out.early = static_cast<double>(chains_.early) / static_cast<double>(trace.requests.size());
    step("fitting");
    FL_TRY(out.fit, disk::fit_drive(timed_, like_));
    FL_TRY_STATUS(fit_drives());
    FL_TRY(out.own, runs_of(plan_.ran));
    for (const std::string& scheduler : plan_.schedulers) {
      FL_TRY(PredictedScheduler one, runs_of(scheduler));
      correct(one, out);
      out.others.push_back(std::move(one));
    }
    return out;
  }

 private:
  void step(const std::string& what) const {
    if (plan_.on_step) plan_.on_step(what);
  }

  base::Status fit_drives() {
    base::Random random(plan_.seed);
    for (std::uint32_t draw = 0; draw < plan_.draws; ++draw) {
      step(fmt::format("fitting to a half, {} of {}", draw + 1, plan_.draws));
      FL_TRY(disk::DriveFit fit, disk::fit_drive(disk::half_of(timed_, random), like_));
      drives_.push_back(std::move(fit.shape));
    }
    return {};
  }

  base::Result<PredictedScheduler> runs_of(const std::string& scheduler) const {
    step("running " + scheduler);
    std::array<base::Summary, kPredictedFigures> sums;
    for (std::size_t draw = 0; draw < drives_.size(); ++draw) {
      auto run = run_of(scheduler, draw);
      if (!run) return base::fail(std::move(run).error().at(scheduler));
      const PredictedFigures figures = predicted_figures(*run);
      for (std::size_t i = 0; i < figures.size(); ++i) sums[i].add(figures[i]);
    }
    PredictedScheduler out{.scheduler = scheduler};
    const auto n = static_cast<double>(drives_.size());
    const double t = base::student_975(drives_.size() - 1);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      out.mean[i] = sums[i].mean();
      out.half_width[i] = t * sums[i].standard_deviation() * std::sqrt(1 + 1 / n);
    }
    return out;
  }

  base::Result<DiskRun> run_of(const std::string& scheduler, std::size_t draw) const {
    FL_TRY(const auto chosen, disk::make_scheduler(scheduler, shape_));
    const auto model = disk::make_model(drives_[draw]);
    disk::ModelledDisk disk(*chosen, *model, shape_, plan_.queueing);
    ResampledWorkload workload(chains_, plan_.seed + draw);
    const std::uint64_t warm_up = requests_ / kWarmUpPart;
    return DiskWorld(disk, shape_, workload)
        .run({.requests = requests_ - warm_up, .warm_up = warm_up});
  }

  // By how wrong the model is where that can be seen.
  static void correct(PredictedScheduler& one, const DiskPrediction& known) {
    for (std::size_t i = 0; i < kPredictedFigures; ++i) {
      if (known.own.mean[i] <= 0 || known.observed[i] <= 0) continue;
      const double share = known.observed[i] / known.own.mean[i];
      const double off = std::max(share, 1 / share) - 1;
      one.half_width[i] = share * std::hypot(one.half_width[i], off * one.mean[i]);
      one.mean[i] *= share;
    }
  }

  const disk::DriveShape& like_;
  const PredictionPlan& plan_;
  disk::FitTrace timed_;
  Chains chains_;
  disk::SchedulerShape shape_;
  std::uint64_t requests_;
  std::vector<disk::DriveShape> drives_;
};

}  // namespace

PredictedFigures predicted_figures(const DiskRun& run) {
  return {run.service_ns.mean() / kMsInNs, run.response_ns.mean() / kMsInNs,
          static_cast<double>(run.response_ns.quantile(0.99)) / kMsInNs, run.sectors_per_ms()};
}

DiskRun observed_run(const disk::RequestTrace& trace) {
  std::vector<const disk::RecordedRequest*> ended;
  for (const disk::RecordedRequest& one : trace.requests) {
    if (one.served()) ended.push_back(&one);
  }
  std::ranges::sort(ended, {}, &disk::RecordedRequest::ended_ns);
  DiskRun run;
  if (ended.empty()) return run;
  const std::size_t warm_up = ended.size() / kWarmUpPart;
  const std::int64_t from_ns =
      warm_up == 0 ? ended.front()->arrived_ns : ended[warm_up - 1]->ended_ns;
  for (std::size_t i = warm_up; i < ended.size(); ++i) {
    const disk::RecordedRequest& one = *ended[i];
    ++run.requests;
    run.sectors += one.sector_count;
    run.service_ns.record(static_cast<std::uint64_t>(one.ended_ns - one.dispatched_ns));
    run.response_ns.record(static_cast<std::uint64_t>(one.ended_ns - one.arrived_ns));
  }
  run.elapsed_ns = ended.back()->ended_ns - from_ns;
  return run;
}

base::Result<DiskPrediction> predict(const disk::RequestTrace& trace, const disk::DriveShape& like,
                                     const PredictionPlan& plan) {
  return Predictor(trace, like, plan).predict(trace);
}

}  // namespace fairlead::sim
