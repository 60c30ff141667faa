// SPDX-License-Identifier: Apache-2.0
#include "apps/disk_runs.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "apps/request_file.h"
#include "base/quote.h"
#include "base/student.h"
#include "disk/scheduler_table.h"
#include "sim/replay_workload.h"

namespace fairlead::apps {
namespace {

constexpr double kLeastRate = 0.001;

}  // namespace

const std::vector<std::string> kDiskWorkloads = {
    "study", "random", "poisson", "sequential", "mixed", "starving", DiskRunOptions::kReplay};

base::Result<DiskBench> DiskBench::open(const DiskRunOptions& options) {
  FL_TRY(Drive drive, find_drive(options.drive));
  DiskBench bench(options, std::move(drive));
  bench.options_.study.sectors = bench.options_.random.sectors =
      disk::sectors_of(bench.drive_.shape);
  const std::uint32_t processes = std::max(options.study.processes, options.random.processes);
  bench.options_.shape.owners = std::max(bench.options_.shape.owners, processes);
  FL_TRY_STATUS(bench.check());
  if (options.replays()) FL_TRY_STATUS(bench.read_trace());
  DiskRunOptions& run = bench.options_;
  if (!run.requests) run.requests = DiskRunOptions::kRequests;
  if (!run.warm_up) run.warm_up = DiskRunOptions::kWarmUp;
  return bench;
}

base::Status DiskBench::read_trace() {
  FL_TRY(trace_, read_requests(options_.trace));
  FL_TRY_STATUS(disk::fits(trace_, disk::sectors_of(drive_.shape), drive_.name));
  options_.shape.owners = std::max(options_.shape.owners, trace_.owners);
  const std::uint64_t all = trace_.requests.size();
  options_.warm_up = options_.warm_up.value_or(0);
  if (*options_.warm_up >= all) {
    return base::fail(base::ErrorKind::kInvalid,
                      fmt::format("--warm-up: {} has {} requests", trace_.name, all));
  }
  options_.requests = std::min(options_.requests.value_or(all), all - *options_.warm_up);
  return {};
}

base::Status DiskBench::check() const {
  const auto refuse = [](std::string why) {
    return base::fail(base::ErrorKind::kInvalid, std::move(why));
  };
  if (options_.random.request_sectors > options_.random.sectors) {
    return refuse(
        fmt::format("--request-sectors: {} has {} sectors", drive_.name, options_.random.sectors));
  }
  if (options_.replays() == options_.trace.empty()) {
    return refuse(options_.replays() ? "--workload replay: say which --trace"
                                     : "--trace: only --workload replay reads one");
  }
  if (options_.workload == "poisson" && options_.random.arrivals_per_second < kLeastRate) {
    return refuse(
        fmt::format("--rate: a poisson workload needs arrivals, {} a second at least", kLeastRate));
  }
  return {};
}

base::Result<std::unique_ptr<sim::DiskWorkload>> DiskBench::workload(std::uint64_t seed) const {
  sim::RandomShape random = options_.random;
  random.seed = seed;
  if (options_.workload == "study") return study(seed);
  if (options_.replays()) return std::make_unique<sim::ReplayWorkload>(trace_, options_.speed);
  if (options_.workload == "starving") return std::make_unique<sim::StarvingWorkload>(random);
  if (options_.workload != "poisson") random.arrivals_per_second = 0;
  if (options_.workload == "sequential") random.onwards = 1;
  if (options_.workload == "mixed") {
    random.onwards = random.onwards > 0 ? random.onwards : 0.5;
    random.writes = random.writes > 0 ? random.writes : 0.3;
  }
  return std::make_unique<sim::RandomWorkload>(random);
}

base::Result<std::unique_ptr<sim::DiskWorkload>> DiskBench::study(std::uint64_t seed) const {
  sim::StudyShape shape = options_.study;
  shape.seed = seed;
  if (!sim::StudyWorkload::fits(shape)) {
    return base::fail(
        base::ErrorKind::kInvalid,
        fmt::format("--files: {} files of these sizes do not fit on {}", shape.files, drive_.name));
  }
  auto direct = std::make_unique<sim::StudyWorkload>(shape);
  if (options_.page_cache.pages == 0) return direct;
  return std::make_unique<sim::CachedWorkload>(std::move(direct), options_.page_cache);
}

base::Result<sim::DiskRun> DiskBench::run(const std::string& scheduler, std::uint64_t seed,
                                          std::function<void(const sim::DiskStory&)> on_end) const {
  FL_TRY(const auto chosen, disk::make_scheduler(scheduler, options_.shape));
  const auto model = disk::make_model(drive_.shape);
  disk::ModelledDisk disk(*chosen, *model, options_.shape, options_.queueing);
  FL_TRY(const auto work, workload(seed));
  sim::DiskWorld world(disk, options_.shape, *work);
  return world.run(
      {.requests = *options_.requests, .warm_up = *options_.warm_up, .on_end = std::move(on_end)});
}

Estimate estimate(const std::vector<double>& values) {
  base::Summary summary;
  for (const double value : values) summary.add(value);
  if (values.size() < 2) return {summary.mean(), 0};
  const double t = base::student_975(values.size() - 1);
  return {summary.mean(),
          t * summary.standard_deviation() / std::sqrt(static_cast<double>(values.size()))};
}

}  // namespace fairlead::apps
