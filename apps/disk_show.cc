// SPDX-License-Identifier: Apache-2.0
#include "apps/disk_show.h"

#include <cerrno>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/disk_figures.h"
#include "apps/gnuplot.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text_table.h"
#include "disk/request_csv.h"
#include "disk/scheduler_table.h"
#include "sim/disk_example.h"

namespace fairlead::apps {
namespace {

void print(const std::string& text) { std::fputs(text.c_str(), stdout); }

// One figure of a run, for tables, CSV and JSON alike.
struct Figure {
  const char* name;   // in CSV and JSON
  const char* title;  // in tables
  double (*of)(const sim::DiskRun& run);
};

constexpr Figure kFigures[] = {
    {"service_ms", "service ms", [](const sim::DiskRun& r) { return ms(r.service_ns.mean()); }},
    {"response_ms", "response ms", [](const sim::DiskRun& r) { return ms(r.response_ns.mean()); }},
    {"p99_ms", "p99 ms", [](const sim::DiskRun& r) { return ms(r.response_ns.quantile(0.99)); }},
    {"max_ms", "max ms", [](const sim::DiskRun& r) { return ms(r.response_ns.max()); }},
    {"sectors_per_ms", "sectors/ms", [](const sim::DiskRun& r) { return r.sectors_per_ms(); }},
    {"hit_ratio", "hits",
     [](const sim::DiskRun& r) {
       return r.transfers == 0 ? 0 : static_cast<double>(r.hits) / static_cast<double>(r.transfers);
     }},
};

Estimate estimate_of(const Figure& figure, const std::vector<sim::DiskRun>& runs) {
  std::vector<double> values;
  values.reserve(runs.size());
  for (const sim::DiskRun& run : runs) values.push_back(figure.of(run));
  return estimate(values);
}

std::string text(const Estimate& value) {
  if (value.half_width == 0) return fmt::format("{:.2f}", value.mean);
  return fmt::format("{:.2f} ± {:.2f}", value.mean, value.half_width);
}

}  // namespace

int show_example(const std::string& output) {
  const auto tables = sim::worked_example();
  if (output == "json") {
    std::string line;
    base::JsonWriter json(line);
    json.begin_object();
    add_example(json, tables);
    json.end_object();
    print(line + "\n");
    return kDone;
  }
  print(example_text(tables));
  return kDone;
}

int show_schedulers(const std::string& output) {
  if (output == "json") {
    std::string line;
    base::JsonWriter json(line);
    json.begin_array();
    for (const disk::SchedulerKind& kind : disk::scheduler_kinds()) {
      json.begin_object().member("name", kind.name).member("purpose", kind.purpose);
      json.key("parameters").begin_array();
      for (const disk::Parameter& one : kind.parameters()) {
        json.begin_object().member("name", one.name).member("value", disk::text_of(one));
        json.member("source", one.source).end_object();
      }
      json.end_array().end_object();
    }
    json.end_array();
    print(line + "\n");
    return kDone;
  }
  for (const disk::SchedulerKind& kind : disk::scheduler_kinds()) {
    print(fmt::format("{:<13} {}\n", kind.name, kind.purpose));
    for (const disk::Parameter& one : kind.parameters()) {
      print(fmt::format("    {:<18} {:<8} {}\n", one.name, disk::text_of(one), one.source));
    }
  }
  return kDone;
}

int show_drives(const std::string& output) {
  std::string line;
  base::JsonWriter json(line);
  base::TextTable table({"drive", "sectors", "what it is"});
  table.align_left(2);
  json.begin_array();
  for (const BuiltInDrive& one : kBuiltInDrives) {
    const auto drive = find_drive(one.name);
    if (!drive) return fail(kDisk, drive.error());
    const std::uint64_t sectors = disk::sectors_of(drive->shape);
    table.add({one.name, fmt::format("{}", sectors), drive->about});
    json.begin_object().member("name", one.name).member("sectors", sectors);
    json.member("about", drive->about).member("toml", one.text).end_object();
  }
  json.end_array();
  print(output == "json" ? line + "\n" : table.text());
  return kDone;
}

void show_run(const DiskOptions& options, const Drive& drive, const sim::DiskRun& run) {
  if (options.output == "json") {
    std::string line;
    base::JsonWriter json(line);
    json.begin_object().member("scheduler", options.scheduler).member("drive", drive.name);
    json.member("workload", options.run.workload).member("seed", options.run.seed);
    json.member("requests", run.requests).member("transfers", run.transfers);
    json.member("elapsed_ns", run.elapsed_ns);
    for (const Figure& figure : kFigures) json.member(figure.name, figure.of(run));
    json.end_object();
    print(line + "\n");
    return;
  }
  print(fmt::format("{} on {}, {}: {} requests in {} transfers, {:.1f} simulated seconds\n",
                    options.scheduler, drive.name, options.run.workload, run.requests,
                    run.transfers, static_cast<double>(run.elapsed_ns) / 1e9));
  std::vector<std::string> head{""};
  std::vector<std::string> row{options.scheduler};
  for (const Figure& figure : kFigures) {
    head.emplace_back(figure.title);
    row.push_back(fmt::format("{:.2f}", figure.of(run)));
  }
  base::TextTable table(std::move(head));
  table.add(std::move(row));
  print(table.text());
}

void show_comparison(const DiskOptions& options, const DiskBench& bench,
                     const std::vector<ComparedScheduler>& compared) {
  const Drive& drive = bench.drive();
  const std::size_t runs = compared.front().runs.size();
  std::string line;
  base::JsonWriter json(line);
  json.begin_object().member("drive", drive.name).member("workload", options.run.workload);
  json.member("requests", bench.requests()).member("seed", options.run.seed);
  json.member("seeds", runs).key("schedulers").begin_array();
  std::vector<std::string> head{"scheduler"};
  for (const Figure& figure : kFigures) head.emplace_back(figure.title);
  base::TextTable table(std::move(head));
  for (const ComparedScheduler& one : compared) {
    json.begin_object().member("scheduler", one.scheduler);
    std::vector<std::string> row{one.scheduler};
    for (const Figure& figure : kFigures) {
      const Estimate value = estimate_of(figure, one.runs);
      row.push_back(text(value));
      json.key(figure.name).begin_object().member("mean", value.mean);
      json.member("half_width_95", value.half_width).end_object();
    }
    json.end_object();
    table.add(std::move(row));
  }
  json.end_array().end_object();
  if (options.output == "json") return print(line + "\n");
  print(fmt::format("{} requests of {} on {}, {} seeds from {}; ± is half of the 95 % interval\n",
                    bench.requests(), options.run.workload, drive.name, runs, options.run.seed));
  print(table.text());
}

base::Status draw_comparison(const std::string& folder,
                             const std::vector<ComparedScheduler>& compared) {
  std::error_code wrong;
  std::filesystem::create_directories(folder, wrong);
  if (wrong) return base::fail_errno(wrong.value(), "make " + folder);
  std::string csv = "scheduler,run";
  for (const Figure& figure : kFigures) csv += fmt::format(",{}", figure.name);
  csv += '\n';
  std::string shares;  // one block a scheduler: how many of a hundred answers came in time
  std::string plots;
  for (std::size_t i = 0; i < compared.size(); ++i) {
    const ComparedScheduler& one = compared[i];
    for (std::size_t run = 0; run < one.runs.size(); ++run) {
      csv += fmt::format("\"{}\",{}", one.scheduler, run + 1);
      for (const Figure& figure : kFigures) csv += fmt::format(",{}", figure.of(one.runs[run]));
      csv += '\n';
    }
    shares += shares_in_time(all_responses(one.runs)) + "\n\n";
    plots += fmt::format("{}'responses.dat' index {} with lines lw 2 title \"{}\"",
                         i == 0 ? "" : ", ", i, one.scheduler);
  }
  FL_TRY_STATUS(base::write_file_atomic(folder + "/compare.csv", csv));
  FL_TRY_STATUS(base::write_file_atomic(folder + "/responses.dat", shares));
  const std::string script =
      "set terminal svg size 800,500 noenhanced\nset output 'responses.svg'\nset logscale x\n"
      "set xlabel 'response, ms'\nset ylabel 'answered within, %'\nset key bottom right\n"
      "set grid\nplot " +
      plots + "\n";
  FL_TRY_STATUS(base::write_file_atomic(folder + "/responses.gp", script));
  FL_TRY(const bool drawn, draw(folder, "responses.gp"));
  if (!drawn) std::fprintf(stderr, "%s: gnuplot is missing: no plot, the data are there\n", kDisk);
  return {};
}

base::Result<DiskLog> DiskLog::open(const std::string& path) {
  if (path.empty()) return DiskLog(path, nullptr);
  std::FILE* const file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return base::fail_errno(errno, "write " + path);
  std::fputs(std::string(disk::kRequestCsvHeader).c_str(), file);
  return DiskLog(path, file);
}

DiskLog::DiskLog(DiskLog&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, nullptr)) {}

DiskLog::~DiskLog() {
  if (file_ != nullptr) std::fclose(file_);
}

void DiskLog::add(const sim::DiskStory& story) {
  std::string line;
  disk::append_csv(line, story);
  std::fputs(line.c_str(), file_);
}

base::Status DiskLog::close() {
  if (file_ == nullptr) return {};
  const bool bad = std::ferror(file_) != 0;
  const int closed = std::fclose(std::exchange(file_, nullptr));
  if (bad || closed != 0) return base::fail_errno(errno, "write " + path_);
  return {};
}

}  // namespace fairlead::apps
