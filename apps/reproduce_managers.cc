// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <filesystem>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/gnuplot.h"
#include "apps/reproduce.h"
#include "base/file.h"
#include "base/json.h"
#include "base/quote.h"
#include "sim/document_cases.h"
#include "sim/document_report.h"

namespace fairlead::apps {
namespace {

struct Results {
  std::vector<sim::CpuResult> cpu;
  std::vector<sim::MemoryResult> memory;

  bool empty() const { return cpu.empty() && memory.empty(); }
};

Results run_cases(const ReproduceOptions& options) {
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
    FL_TRY(const bool drawn, draw(folder, name + ".gnuplot"));
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

void print_json(const ReproduceOptions& options, bool drawn, const Results& results) {
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

void print_text(const ReproduceOptions& options, bool drawn, const Results& results) {
  if (!results.cpu.empty()) std::puts(sim::figures_text(results.cpu).c_str());
  if (!results.memory.empty()) std::puts(sim::figures_text(results.memory).c_str());
  fmt::print("seed {}; samples{} of each case in {}\n", options.seed, drawn ? " and a plot" : "",
             options.folder);
}

}  // namespace

int reproduce_managers(const ReproduceOptions& options) {
  const Results results = run_cases(options);
  if (results.empty()) {
    return fail_usage(kReproduce, fmt::format("--case: no case {}; there are{}",
                                              base::quoted(*options.only), known_cases()));
  }
  if (const auto made = make_folder(options.folder); !made) return fail(kReproduce, made.error());
  const auto drawn = write_all(options.folder, results);
  if (!drawn) return fail(kReproduce, drawn.error());
  if (!*drawn) say_not_drawn("the samples");
  if (options.output == "json") {
    print_json(options, *drawn, results);
  } else {
    print_text(options, *drawn, results);
  }
  return kDone;
}

}  // namespace fairlead::apps
