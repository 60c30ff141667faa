// SPDX-License-Identifier: Apache-2.0
#include "apps/disk_options.h"

#include <fmt/format.h>

#include "apps/command.h"
#include "base/units.h"
#include "disk/scheduler_table.h"

namespace fairlead::apps {
namespace {

void add_study_options(Command command, sim::StudyShape& study) {
  add_count(command, "--files", study.files, 1, 10'000'000, "study: that are read from");
  add_number(command, "--files-alpha", study.files_alpha, 0.1, 100,
             "study: files in a row, Pareto's exponent");
  add_number(command, "--files-least", study.files_least, 1, 1e6, "study: the least in a row");
  add_number(command, "--zipf", study.zipf, 0, 10, "study: exponent of their popularity");
  add_number(command, "--size-log-mean", study.size_log_mean, 0, 30,
             "study: of ln(bytes) of a file");
  add_number(command, "--size-log-sigma", study.size_log_sigma, 0, 10, "study: its deviation");
  add_number(command, "--sleep-alpha", study.sleep_alpha, 0.1, 100,
             "study: sleeps after each page, Pareto's exponent");
  add_number(command, "--sleep-least", study.sleep_least_ms, 0, 1e6, "study: milliseconds");
  add_number(command, "--sleep-most", study.sleep_most_ms, 0, 1e6, "study: milliseconds");
  add_count(command, "--population", study.population, std::uint64_t{0}, UINT64_MAX,
            "study: seed of the files' sizes and places");
  add_count(command, "--page-sectors", study.page_sectors, 1, 2048, "study: of a request");
}

void add_cache_options(Command command, sim::PageCacheShape& cache) {
  add_count(command, "--page-cache", cache.pages, 0, 100'000'000,
            "study: pages of a cache in front of the disk; 0: O_DIRECT");
  add_count(command, "--read-ahead", cache.most_pages, 1, 256,
            "study: pages that it reads at once");
}

void add_random_options(Command command, sim::RandomShape& random) {
  add_number(command, "--think", random.think_ms, 0, 1e6,
             "others: mean milliseconds between answer and request");
  add_number(command, "--onwards", random.onwards, 0, 1,
             "random, mixed: share that continues the last request");
  add_number(command, "--writes", random.writes, 0, 1, "random, mixed, poisson: share of writes");
  add_number(command, "--rate", random.arrivals_per_second, 0, 1e9, "poisson: arrivals a second");
  add_count(command, "--request-sectors", random.request_sectors, 1, 2048, "others: of a request");
}

void add_requests(Command command, const std::string& name, std::optional<std::uint64_t>& to,
                  std::uint64_t least, const std::string& help) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  const auto parse = [least](const std::string& text) {
    return base::parse_unsigned(text, least, kMost);
  };
  command
      .add_option_function(
          name, [&to, parse](const std::string& text) { to = *parse(text); }, help)
      .check(accepts(parse))
      .type_name("N");
}

}  // namespace

std::vector<std::string> DiskOptions::schedulers() const {
  return compared.empty() ? scheduler_names() : compared;
}

std::vector<std::string> scheduler_names() {
  std::vector<std::string> all;
  for (const disk::SchedulerKind& kind : disk::scheduler_kinds()) all.emplace_back(kind.name);
  return all;
}

Check is_scheduler() {
  return accepts([](const std::string& text) -> base::Result<bool> {
    FL_TRY_STATUS(disk::check_scheduler(text));
    return true;
  });
}

void add_queue_options(Command command, disk::SchedulerShape& shape, disk::DiskQueueing& queueing) {
  add_count(command, "--depth", queueing.depth, 1U, 256U,
            "transfers taken from the scheduler and not ended");
  add_count(command, "--slots", shape.slots, 1U, 65'536U,
            "requests that the scheduler and the disk have at once");
  add_count(command, "--merge-sectors", shape.merge_sectors, 1U, 65'536U,
            "the longest transfer of merged requests");
  add_duration(command, "--tick", queueing.tick_ns, "of the scheduler's clock; 0: exact", "0");
}

void add_run_options(Command command, DiskOptions& options) {
  DiskRunOptions& run = options.run;
  command.add_option("--drive", run.drive, "its name (see `disk drives`), or a TOML file")
      .type_name("NAME|FILE")
      .capture_default_str();
  command.add_option("--workload", run.workload, "who reads and writes")
      .check(one_of(kDiskWorkloads, InHelp::kYes))
      .capture_default_str();
  add_requests(command, "--requests", run.requests, 1,
               fmt::format("that are counted [{}; replay: all]", DiskRunOptions::kRequests));
  add_requests(command, "--warm-up", run.warm_up, 0,
               fmt::format("requests before these [{}; replay: 0]", DiskRunOptions::kWarmUp));
  add_count(command, "--seed", run.seed, std::uint64_t{0}, UINT64_MAX, "of chance");
  command
      .add_option_function(
          "--processes",
          [&run](const std::string& text) {
            run.study.processes = run.random.processes =
                static_cast<std::uint32_t>(*base::parse_unsigned(text));
          },
          "that read and write [study: 64, others: 16]")
      .check(
          accepts([](const std::string& text) { return base::parse_unsigned(text, 1, 100'000); }))
      .type_name("N");
  add_queue_options(command, run.shape, run.queueing);
  add_duration(command, "--extra", run.queueing.extra_ns,
               "on each access: a fault of document 004's throttle", "0");
  add_count(command, "--clock-scale", run.queueing.clock_scale, 1U, 1000U,
            "the scheduler's clock is so much too fast: another one");
  add_study_options(command, run.study);
  add_cache_options(command, run.page_cache);
  add_random_options(command, run.random);
  command
      .add_option("--trace", run.trace,
                  "replay: requests at their times, as CSV, blktrace's files or a recording")
      .check(not_empty())
      .type_name("FILE");
  add_number(command, "--speed", run.speed, 1e-6, 1e6, "replay: so many times as fast");
  add_output_option(command, options.output);
}

void add_simulate_options(Command command, DiskOptions& options) {
  command.add_option("--scheduler", options.scheduler, "NAME, or NAME:PARAMETER=VALUE,...")
      .check(is_scheduler())
      .type_name("NAME")
      .capture_default_str();
  command.add_option("--log", options.log, "each request, as CSV").type_name("FILE");
}

void add_compare_options(Command command, DiskOptions& options) {
  command
      .add_option("--scheduler", options.compared,
                  "one of those compared, may be given again [all]")
      .one_each()
      .check(is_scheduler())
      .type_name("NAME");
  add_count(command, "--seeds", options.seeds, 1U, 1000U, "runs of each, from --seed on");
  command.add_option("--out", options.folder, "folder for figures and plots")
      .check(not_empty())
      .type_name("DIR");
}

}  // namespace fairlead::apps
