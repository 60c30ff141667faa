// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/disk_figures.h"
#include "apps/gnuplot.h"
#include "apps/reproduce.h"
#include "apps/study_disks.h"
#include "base/file.h"
#include "base/quote.h"

namespace fairlead::apps {
namespace {

constexpr std::string_view kExamples = "examples";
constexpr std::string_view kAgedCase = "aged";

std::vector<std::string_view> cases() {
  std::vector<std::string_view> names{kExamples};
  for (const sim::StudyTable& table : sim::study_tables()) names.emplace_back(table.name);
  names.push_back(kAgedCase);
  return names;
}

// Place and time of the head, one block an order.
std::string example_data(const std::vector<sim::ExampleTable>& tables) {
  std::string data;
  for (const sim::ExampleTable& table : tables) {
    data += fmt::format("{} 0\n", sim::kExampleHead);
    for (const sim::ExampleRow& row : table.rows) {
      data += fmt::format("{} {}\n", row.place, row.response());
    }
    data += "\n\n";
  }
  return data;
}

std::string example_script(const std::vector<sim::ExampleTable>& tables) {
  std::string plots;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    plots += fmt::format("{}'examples.dat' index {} with linespoints lw 2 title '{}: {:.2f}'",
                         i == 0 ? "" : ", ", i, tables[i].name, tables[i].mean_response);
  }
  return "set terminal svg size 800,500 noenhanced\nset output 'examples.svg'\n"
         "set xlabel 'place of the head'\nset xrange [0:100]\nset ylabel 'time'\nset yrange [*:*] "
         "reverse\n"
         "set title 'mean responses'\nset key bottom right\nset grid\nplot " +
         plots + "\n";
}

// The cases' results, written, drawn and printed as they come.
class DiskStudy {
 public:
  explicit DiskStudy(const ReproduceOptions& options) : options_(options), folder_(options.folder) {
    plan_.rounds = options.rounds;
    plan_.seed = options.seed;
    plan_.on_step = [](const std::string& step) { show_step(step); };
  }

  base::Status run() {
    if (wanted(kExamples)) FL_TRY_STATUS(examples());
    for (const sim::StudyTable& table : sim::study_tables()) {
      if (wanted(table.name)) FL_TRY_STATUS(compare(table));
    }
    if (wanted(kAgedCase)) FL_TRY_STATUS(aged());
    if (!drawn_) say_not_drawn("the figures");
    if (options_.output == "json") {
      print_json();
    } else {
      fmt::print("{} requests, {} runs of each from seed {}; figures{} in {}\n", plan_.requests,
                 plan_.rounds, plan_.seed, drawn_ ? " and plots" : "", options_.folder);
    }
    return {};
  }

 private:
  bool wanted(std::string_view name) const { return !options_.only || *options_.only == name; }

  // `data` as FILE, and NAME.gnuplot, which draws it.
  base::Status keep(const std::string& name, const std::string& file, const std::string& data,
                    const std::string& script) {
    FL_TRY_STATUS(base::write_file_atomic(folder_ / file, data));
    FL_TRY_STATUS(base::write_file_atomic(folder_ / (name + ".gnuplot"), script));
    FL_TRY(const bool drawn, draw(folder_, name + ".gnuplot"));
    drawn_ = drawn_ && drawn;
    return {};
  }

  void print(const std::string& text) const {
    if (options_.output == "text") std::puts(text.c_str());
  }

  base::Status examples() {
    examples_ = sim::worked_example();
    FL_TRY_STATUS(
        keep("examples", "examples.dat", example_data(*examples_), example_script(*examples_)));
    print(example_text(*examples_));
    return {};
  }

  base::Status compare(const sim::StudyTable& published) {
    FL_TRY(DiskStudyTable table, measure(published, plan_));
    const std::string name = published.name;
    FL_TRY_STATUS(keep(name, name + ".csv", table_csv(table), table_script(published)));
    FL_TRY_STATUS(keep(name + "-responses", name + "-responses.dat", responses_data(table),
                       responses_script(published)));
    print(table_text(table));
    tables_.push_back(std::move(table));
    return {};
  }

  base::Status aged() {
    FL_TRY(aged_, measure_aged(plan_));
    print(aged_text(aged_));
    return {};
  }

  void print_json() const {
    std::string out;
    base::JsonWriter json(out);
    json.begin_object().member("document", options_.document).member("requests", plan_.requests);
    json.member("rounds", plan_.rounds).member("seed", plan_.seed);
    json.member("folder", options_.folder).member("drawn", drawn_);
    if (examples_) {
      json.key("examples").begin_object();
      add_example(json, *examples_);
      json.end_object();
    }
    json.key("tables").begin_array();
    for (const DiskStudyTable& table : tables_) add_table(json, table);
    json.end_array();
    json.key("aged");
    add_aged(json, aged_);
    json.end_object();
    std::puts(out.c_str());
  }

  const ReproduceOptions& options_;
  const std::filesystem::path folder_;
  DiskStudyPlan plan_;
  std::optional<std::vector<sim::ExampleTable>> examples_;
  std::vector<DiskStudyTable> tables_;
  std::vector<AgedRow> aged_;
  bool drawn_ = true;
};

}  // namespace

int reproduce_disk(const ReproduceOptions& options) {
  const auto names = cases();
  if (options.only && std::ranges::find(names, *options.only) == names.end()) {
    return fail_usage(kReproduce, fmt::format("--case: no case {}; there are {}",
                                              base::quoted(*options.only), fmt::join(names, " ")));
  }
  if (auto made = make_folder(options.folder); !made) return fail(kReproduce, made.error());
  const auto done = DiskStudy(options).run();
  return done ? kDone : fail(kReproduce, done.error());
}

}  // namespace fairlead::apps
