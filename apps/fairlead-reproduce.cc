// SPDX-License-Identifier: Apache-2.0
//
// fairlead reproduce: the cases of a course document, run again in simulation beside simple
// policies: samples, plots and one table of figures.
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/gnuplot.h"
#include "base/file.h"
#include "base/json.h"
#include "base/quote.h"
#include "base/standard_streams.h"
#include "base/units.h"
#include "sim/document_cases.h"
#include "sim/document_report.h"

namespace {

using namespace fairlead;

constexpr const char* kProgram = "fairlead-reproduce";
constexpr const char* kDocument = "001";  // so far

struct Options {
  std::string document;
  std::string folder = "reproduce-001";
  std::optional<std::string> only;  // a case
  std::uint64_t seed = 1;
  std::string output = "text";
};

struct Results {
  std::vector<sim::CpuResult> cpu;
  std::vector<sim::MemoryResult> memory;

  bool empty() const { return cpu.empty() && memory.empty(); }
};

Results run_cases(const Options& options) {
  const auto wanted = [&](std::string_view name) { return !options.only || *options.only == name; };
  Results results;
  for (const sim::CpuCase& one : sim::cpu_cases()) {
    if (wanted(one.name)) results.cpu.push_back({one, sim::run(one, options.seed)});
  }
  for (const sim::MemoryCase& one : sim::memory_cases()) {
    if (wanted(one.name)) results.memory.push_back({one, sim::run(one, options.seed)});
  }
  return results;
}

std::string known_cases() {
  std::string names;
  for (const sim::CpuCase& one : sim::cpu_cases()) names += fmt::format(" {}", one.name);
  for (const sim::MemoryCase& one : sim::memory_cases()) names += fmt::format(" {}", one.name);
  return names;
}

template <typename Result>
base::Status write_samples(const std::filesystem::path& folder, const Result& result) {
  const std::string name(result.one.name);
  FL_TRY_STATUS(
      base::write_file_atomic(folder / (name + ".tsv"), sim::samples_tsv(result.outcomes)));
  return base::write_file_atomic(folder / (name + ".gnuplot"),
                                 sim::gnuplot_script(result.one, result.outcomes));
}

// Whether all was drawn.
base::Result<bool> write_all(const std::filesystem::path& folder, const Results& results) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    return base::fail_errno(error.value(), "make the folder " + base::quoted(folder.string()));
  std::vector<std::string> names;
  for (const auto& result : results.cpu) {
    FL_TRY_STATUS(write_samples(folder, result));
    names.emplace_back(result.one.name);
  }
  for (const auto& result : results.memory) {
    FL_TRY_STATUS(write_samples(folder, result));
    names.emplace_back(result.one.name);
  }
  for (const std::string& name : names) {
    FL_TRY(const bool drawn, apps::draw(folder, name + ".gnuplot"));
    if (!drawn) return false;
  }
  return true;
}

void add_case(base::JsonWriter& json, const sim::CpuResult& result) {
  json.member("case", result.one.name).member("title", result.one.title).member("kind", "vcpu");
  json.key("policies").begin_array();
  for (const sim::CpuOutcome& outcome : result.outcomes) {
    json.begin_object()
        .member("policy", outcome.policy)
        .member("pins", outcome.moves)
        .key("intervals_to_balance");
    if (outcome.intervals_to_balance) {
      json.value(*outcome.intervals_to_balance);
    } else {
      json.null();
    }
    json.member("deviation_of_mean", outcome.deviation)
        .member("waiting_processors", outcome.waiting)
        .member("pins_under_jitter", outcome.jitter_moves)
        .end_object();
  }
  json.end_array();
}

void add_case(base::JsonWriter& json, const sim::MemoryResult& result) {
  json.member("case", result.one.name).member("title", result.one.title).member("kind", "memory");
  json.key("policies").begin_array();
  for (const sim::MemoryOutcome& outcome : result.outcomes) {
    json.begin_object()
        .member("policy", outcome.policy)
        .member("comfortable_share", outcome.comfortable)
        .member("killed_below_maximum", outcome.killed_below_maximum)
        .member("killed_at_maximum", outcome.killed_at_maximum)
        .member("host_least_available_mib", outcome.least_available_mib)
        .member("reversals", outcome.reversals)
        .end_object();
  }
  json.end_array();
}

void print_json(const Options& options, bool drawn, const Results& results) {
  std::string out;
  base::JsonWriter json(out);
  json.begin_object()
      .member("document", options.document)
      .member("seed", options.seed)
      .member("interval_s", sim::kCaseIntervalSeconds)
      .member("folder", options.folder)
      .member("drawn", drawn);
  json.key("cases").begin_array();
  for (const auto& result : results.cpu) {
    json.begin_object();
    add_case(json, result);
    json.end_object();
  }
  for (const auto& result : results.memory) {
    json.begin_object();
    add_case(json, result);
    json.end_object();
  }
  json.end_array().end_object();
  std::puts(out.c_str());
}

void print_text(const Options& options, bool drawn, const Results& results) {
  if (!results.cpu.empty()) std::puts(sim::figures_text(results.cpu).c_str());
  if (!results.memory.empty()) std::puts(sim::figures_text(results.memory).c_str());
  fmt::print("seed {}; samples{} of each case in {}\n", options.seed, drawn ? " and a plot" : "",
             options.folder);
}

int reproduce(const Options& options) {
  if (options.document != kDocument) {
    return apps::fail_usage(kProgram, fmt::format("no document {} to reproduce; there is {}",
                                                  base::quoted(options.document), kDocument));
  }
  if (options.folder.empty()) return apps::fail_usage(kProgram, "--out: no folder named");
  const Results results = run_cases(options);
  if (results.empty()) {
    return apps::fail_usage(kProgram, fmt::format("--case: no case {}; there are{}",
                                                  base::quoted(*options.only), known_cases()));
  }
  const auto drawn = write_all(options.folder, results);
  if (!drawn) return apps::fail(kProgram, drawn.error());
  if (!*drawn) {
    std::fprintf(stderr, "%s: gnuplot is missing: no plots, the samples are there\n", kProgram);
  }
  if (options.output == "json") {
    print_json(options, *drawn, results);
  } else {
    print_text(options, *drawn, results);
  }
  return apps::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  fairlead::base::hold_standard_streams();
  apps::CommandLine app("run a course document's cases again in simulation, beside simple policies",
                        kProgram);
  Options options;
  app.add_option("document", options.document, "number of the document: 001")
      .required()
      .option_text("DOCUMENT");
  app.add_option("--out", options.folder, "folder for samples and plots, made if it is missing")
      .type_name("DIR")
      .capture_default_str();
  app.add_option_function(
         "--seed", [&](const std::string& text) { options.seed = *base::parse_unsigned(text); },
         "of the simulated worlds' chance [1]")
      .check(apps::accepts([](const std::string& text) { return base::parse_unsigned(text); }))
      .option_text("N");
  app.add_option("--case", options.only, "only this one [all]").type_name("NAME");
  apps::add_output_option(app, options.output);
  return apps::run(app, argc, argv, [&] { return reproduce(options); });
}
