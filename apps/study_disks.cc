// SPDX-License-Identifier: Apache-2.0
#include "apps/study_disks.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "apps/disk_figures.h"
#include "apps/disk_runs.h"
#include "base/text_table.h"

namespace fairlead::apps {
namespace {

// What is published nearer than this has no order.
constexpr double kTie = 0.01;
constexpr std::array kAged = {"cats", "cats-aged"};

struct Figure {
  const char* name;
  const char* title;
  double sim::StudyFigures::* published;
  double (*of)(const sim::DiskRun& run);
};

constexpr Figure kFigures[] = {
    {"service_ms", "service, ms", &sim::StudyFigures::service_ms,
     [](const sim::DiskRun& run) { return ms(run.service_ns.mean()); }},
    {"response_ms", "response, ms", &sim::StudyFigures::response_ms,
     [](const sim::DiskRun& run) { return ms(run.response_ns.mean()); }},
    {"sectors_per_ms", "sectors/ms", &sim::StudyFigures::sectors_per_ms,
     [](const sim::DiskRun& run) { return run.sectors_per_ms(); }},
};

Estimate estimate_of(const Figure& figure, const std::vector<sim::DiskRun>& runs) {
  std::vector<double> values;
  values.reserve(runs.size());
  for (const sim::DiskRun& run : runs) values.push_back(figure.of(run));
  return estimate(values);
}

// One figure of one scheduler, four times.
struct Cell {
  double drive;
  double prediction;
  Estimate ours;
  Estimate faulty;

  double error() const { return ours.mean / drive - 1; }
  double prediction_error() const { return prediction / drive - 1; }
  double faulty_error() const { return faulty.mean / prediction - 1; }
};

Cell cell_of(const Figure& figure, const DiskStudyRow& row) {
  return {.drive = row.published.drive.*figure.published,
          .prediction = row.published.prediction.*figure.published,
          .ours = estimate_of(figure, row.drive),
          .faulty = estimate_of(figure, row.faulty)};
}

// Whether ours are in the order of the published ones.
bool in_order(const Figure& figure, const DiskStudyTable& table) {
  for (const DiskStudyRow& one : table.rows) {
    for (const DiskStudyRow& other : table.rows) {
      const Cell a = cell_of(figure, one);
      const Cell b = cell_of(figure, other);
      if (a.drive < b.drive * (1 - kTie) && a.ours.mean >= b.ours.mean) return false;
    }
  }
  return true;
}

base::Result<std::vector<sim::DiskRun>> runs_of(const DiskBench& bench, const char* scheduler,
                                                const DiskStudyPlan& plan) {
  std::vector<sim::DiskRun> runs;
  for (std::uint32_t i = 0; i < plan.rounds; ++i) {
    FL_TRY(const auto run, bench.run(scheduler, plan.seed + i));
    runs.push_back(run);
  }
  return runs;
}

DiskRunOptions options_of(const DiskStudyPlan& plan) {
  DiskRunOptions options;
  options.drive = sim::kStudyDrive;
  options.requests = plan.requests;
  options.warm_up = plan.warm_up;
  options.queueing = sim::study_queueing();
  options.study = sim::study_shape();
  return options;
}

std::string text(const Estimate& value) {
  return fmt::format("{:.2f} ± {:.2f}", value.mean, value.half_width);
}

std::string percent(double share) { return fmt::format("{:+.1f} %", 100 * share); }

void add_estimate(base::JsonWriter& json, const char* name, const Estimate& value) {
  json.key(name).begin_object().member("mean", value.mean);
  json.member("half_width_95", value.half_width).end_object();
}

}  // namespace

base::Result<DiskStudyTable> measure(const sim::StudyTable& table, const DiskStudyPlan& plan) {
  DiskRunOptions options = options_of(plan);
  if (!table.direct) options.page_cache = sim::study_page_cache();
  FL_TRY(const DiskBench drive, DiskBench::open(options));
  options.queueing = sim::faulty_queueing();
  FL_TRY(const DiskBench faulty, DiskBench::open(options));
  DiskStudyTable measured{.published = table, .rows = {}};
  for (const sim::StudyRow& row : table.rows) {
    if (plan.on_step) plan.on_step(fmt::format("{}: {}", table.title, row.name));
    FL_TRY(auto on_drive, runs_of(drive, row.scheduler, plan));
    FL_TRY(auto throttled, runs_of(faulty, row.scheduler, plan));
    measured.rows.push_back(
        {.published = row, .drive = std::move(on_drive), .faulty = std::move(throttled)});
  }
  return measured;
}

std::string table_text(const DiskStudyTable& table) {
  base::TextTable out({table.published.title, "", "drive", "ours", "error", "its VPT", "error",
                       "ours with its faults", "from its VPT"});
  out.align_left(1);
  std::string orders;
  for (const DiskStudyRow& row : table.rows) {
    for (const Figure& figure : kFigures) {
      const Cell cell = cell_of(figure, row);
      out.add({row.published.name, figure.title, fmt::format("{:.2f}", cell.drive), text(cell.ours),
               percent(cell.error()), fmt::format("{:.2f}", cell.prediction),
               percent(cell.prediction_error()), text(cell.faulty), percent(cell.faulty_error())});
    }
  }
  for (const Figure& figure : kFigures) {
    orders += fmt::format("{}{}: {}", orders.empty() ? "order of " : "; ", figure.title,
                          in_order(figure, table) ? "as on the drive" : "NOT as on the drive");
  }
  return out.text() + orders + "\n";
}

std::string table_csv(const DiskStudyTable& table) {
  std::string csv =
      "scheduler,figure,drive,ours,ours_half_width,prediction,faulty,faulty_half_width\n";
  for (const Figure& figure : kFigures) {
    for (const DiskStudyRow& row : table.rows) {
      const Cell cell = cell_of(figure, row);
      csv += fmt::format("{},{},{},{},{},{},{},{}\n", row.published.name, figure.name, cell.drive,
                         cell.ours.mean, cell.ours.half_width, cell.prediction, cell.faulty.mean,
                         cell.faulty.half_width);
    }
  }
  return csv;
}

std::string table_script(const sim::StudyTable& table) {
  const std::size_t before = 1 + (std::size(kFigures) - 1) * table.rows.size();  // lines
  return fmt::format(
      "set terminal svg size 800,500 noenhanced\nset output '{0}.svg'\nset datafile separator ','\n"
      "set title '{1}: throughput'\nset ylabel 'sectors/ms'\nset yrange [0:]\nset key top right\n"
      "set style data histograms\nset style histogram errorbars gap 1\n"
      "set style fill solid 0.7 border -1\nset grid ytics\n"
      "plot '{0}.csv' skip {2} using 3:(0):xtic(1) title 'drive, published', \\\n"
      "  '' skip {2} using 4:5 title 'ours', \\\n"
      "  '' skip {2} using 6:(0) title 'prediction, published', \\\n"
      "  '' skip {2} using 7:8 title 'ours, with its faults'\n",
      table.name, table.title, before);
}

std::string responses_data(const DiskStudyTable& table) {
  std::string data;
  for (const DiskStudyRow& row : table.rows) {
    data += shares_in_time(all_responses(row.drive)) + "\n\n";
  }
  for (const DiskStudyRow& row : table.rows) {
    data += shares_in_time(all_responses(row.faulty)) + "\n\n";
  }
  return data;
}

std::string responses_script(const sim::StudyTable& table) {
  std::string plots;
  for (std::size_t i = 0; i < 2 * table.rows.size(); ++i) {
    const bool faulty = i >= table.rows.size();
    const std::size_t row = i % table.rows.size();
    plots += fmt::format("{}'{}-responses.dat' index {} with lines lw 2 lc {}{} title '{}{}'",
                         i == 0 ? "" : ", ", table.name, i, row + 1, faulty ? " dt 2" : "",
                         table.rows[row].name, faulty ? ", with the faults" : "");
  }
  return fmt::format(
      "set terminal svg size 800,500 noenhanced\nset output '{0}-responses.svg'\nset logscale x\n"
      "set title '{1}'\nset xlabel 'response, ms'\nset ylabel 'answered within, %'\n"
      "set key bottom right\nset grid\nplot {2}\n",
      table.name, table.title, plots);
}

void add_table(base::JsonWriter& json, const DiskStudyTable& table) {
  json.begin_object().member("name", table.published.name).member("title", table.published.title);
  json.key("in_order").begin_object();
  for (const Figure& figure : kFigures) json.member(figure.name, in_order(figure, table));
  json.end_object().key("rows").begin_array();
  for (const DiskStudyRow& row : table.rows) {
    for (const Figure& figure : kFigures) {
      const Cell cell = cell_of(figure, row);
      json.begin_object().member("scheduler", row.published.name).member("figure", figure.name);
      json.member("drive", cell.drive);
      add_estimate(json, "ours", cell.ours);
      json.member("error", cell.error()).member("prediction", cell.prediction);
      json.member("prediction_error", cell.prediction_error());
      add_estimate(json, "faulty", cell.faulty);
      json.member("faulty_error", cell.faulty_error()).end_object();
    }
  }
  json.end_array().end_object();
}

base::Result<std::vector<AgedRow>> measure_aged(const DiskStudyPlan& plan) {
  FL_TRY(const DiskBench bench, DiskBench::open(options_of(plan)));
  std::vector<AgedRow> rows;
  for (const char* const scheduler : kAged) {
    if (plan.on_step) plan.on_step(scheduler);
    FL_TRY(auto runs, runs_of(bench, scheduler, plan));
    rows.push_back({.scheduler = scheduler, .runs = std::move(runs)});
  }
  return rows;
}

std::string aged_text(const std::vector<AgedRow>& rows) {
  base::TextTable out({"O_DIRECT", "mean response, ms", "p99, ms", "longest, ms"});
  for (const AgedRow& row : rows) {
    const base::Histogram all = all_responses(row.runs);
    out.add({row.scheduler, fmt::format("{:.2f}", ms(all.mean())),
             fmt::format("{:.0f}", ms(all.quantile(0.99))), fmt::format("{:.0f}", ms(all.max()))});
  }
  return out.text();
}

void add_aged(base::JsonWriter& json, const std::vector<AgedRow>& rows) {
  json.begin_array();
  for (const AgedRow& row : rows) {
    const base::Histogram all = all_responses(row.runs);
    json.begin_object().member("scheduler", row.scheduler);
    json.member("response_ms", ms(all.mean())).member("p99_ms", ms(all.quantile(0.99)));
    json.member("max_ms", ms(all.max())).end_object();
  }
  json.end_array();
}

}  // namespace fairlead::apps
