// SPDX-License-Identifier: Apache-2.0
//
// fairlead disk: schedulers of disks, and what they do to whom, in simulated time.
#include <cstdio>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/disk_fit.h"
#include "apps/disk_options.h"
#include "apps/disk_predict.h"
#include "apps/disk_runs.h"
#include "apps/disk_show.h"
#include "base/standard_streams.h"

namespace {

using namespace fairlead;
using apps::kDisk;

int compare(const apps::DiskOptions& options) {
  const auto bench = apps::DiskBench::open(options.run);
  if (!bench) return apps::fail(kDisk, bench.error());
  // A trace is the same whatever the seed.
  const std::uint32_t seeds = options.run.replays() ? 1 : options.seeds;
  std::vector<apps::ComparedScheduler> compared;
  for (const std::string& scheduler : options.schedulers()) {
    compared.push_back({.scheduler = scheduler, .runs = {}});
    for (std::uint32_t i = 0; i < seeds; ++i) {
      auto run = bench->run(scheduler, options.run.seed + i);
      if (!run) return apps::fail(kDisk, std::move(run).error().at(scheduler));
      compared.back().runs.push_back(*std::move(run));
    }
  }
  apps::show_comparison(options, *bench, compared);
  if (options.folder.empty()) return apps::kDone;
  if (auto drawn = apps::draw_comparison(options.folder, compared); !drawn) {
    return apps::fail(kDisk, drawn.error());
  }
  return apps::kDone;
}

int simulate(const apps::DiskOptions& options) {
  const auto bench = apps::DiskBench::open(options.run);
  if (!bench) return apps::fail(kDisk, bench.error());
  auto log = apps::DiskLog::open(options.log);
  if (!log) return apps::fail(kDisk, log.error());
  const auto run = bench->run(
      options.scheduler, options.run.seed,
      options.log.empty() ? std::function<void(const sim::DiskStory&)>()
                          : [&](const sim::DiskStory& story) { log->add(story); });
  if (!run) return apps::fail(kDisk, run.error());
  if (auto closed = log->close(); !closed) return apps::fail(kDisk, closed.error());
  apps::show_run(options, bench->drive(), *run);
  return apps::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  fairlead::base::hold_standard_streams();
  apps::CommandLine app("schedulers of disks, and what they do to whom, in simulated time", kDisk);
  apps::DiskOptions options;
  apps::FitOptions fit_options;
  apps::PredictOptions predict_options;
  const apps::Command example = app.add_subcommand("example", "document 004's worked example");
  const apps::Command schedulers =
      app.add_subcommand("schedulers", "what there is, with every parameter");
  const apps::Command drives = app.add_subcommand("drives", "the drives that are built in");
  const apps::Command simulate_command = app.add_subcommand("simulate", "one run");
  const apps::Command compare_command =
      app.add_subcommand("compare", "schedulers on the same work, with confidence intervals");
  const apps::Command fit =
      app.add_subcommand("fit", "the figures of a drive from a trace, and how well they fit");
  const apps::Command predict =
      app.add_subcommand("predict", "what other schedulers would have done on the disk of a trace");
  for (const apps::Command& command : {example, schedulers, drives}) {
    apps::add_output_option(command, options.output);
  }
  apps::add_run_options(simulate_command, options);
  apps::add_simulate_options(simulate_command, options);
  apps::add_run_options(compare_command, options);
  apps::add_compare_options(compare_command, options);
  apps::add_fit_options(fit, fit_options);
  apps::add_predict_options(predict, predict_options);
  app.require_subcommand(1, 1);
  app.footer(apps::kUnits);
  return apps::run(app, argc, argv, [&] {
    if (example.parsed()) return apps::show_example(options.output);
    if (schedulers.parsed()) return apps::show_schedulers(options.output);
    if (drives.parsed()) return apps::show_drives(options.output);
    if (fit.parsed()) return apps::fit_disk(fit_options);
    if (predict.parsed()) return apps::predict_disk(predict_options);
    return compare_command.parsed() ? compare(options) : simulate(options);
  });
}
