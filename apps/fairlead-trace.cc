// SPDX-License-Identifier: Apache-2.0
//
// fairlead trace: records block I/O of this host, its guests and its services, and says where the
// time went.
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/rounds.h"
#include "apps/trace_live.h"
#include "apps/trace_plot.h"
#include "apps/trace_sources.h"
#include "apps/traced_command.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/units.h"
#include "daemon/end_watch.h"
#include "trace/blktrace_file.h"
#include "trace/chrome_json.h"
#include "trace/ctf_writer.h"
#include "trace/recorder.h"
#include "trace/report.h"
#include "trace/trace_file.h"

namespace {

using namespace fairlead;
using base::ErrorKind;

constexpr const char* kProgram = "fairlead-trace";

struct Options {
  // record
  apps::TraceSources sources;
  std::string to = "trace.flt";
  std::optional<std::string> duration;
  std::vector<std::string> command;
  apps::LiveOptions live;
  // report
  std::string from = "trace.flt";
  std::vector<std::string> pairs;
  std::optional<std::string> plots;

  // export
  std::string format;
  std::string target;
  // import
  std::string source;

  std::string output = "text";
  bool json() const { return output == "json"; }
};

int failed(const base::Error& error) { return apps::fail(kProgram, error); }

// ---- record ----

void tell_recorded(const Options& options, std::uint64_t events, std::uint64_t lost) {
  if (options.json()) {
    std::string line;
    base::JsonWriter(line)
        .begin_object()
        .member("file", options.to)
        .member("events", events)
        .member("lost", lost)
        .end_object();
    std::puts(line.c_str());
  } else {
    std::printf("%s: %llu events, %llu lost\n", options.to.c_str(),
                static_cast<unsigned long long>(events), static_cast<unsigned long long>(lost));
  }
}

base::Status record(const Options& options, const daemon::EndWatch& end) {
  FL_TRY(auto sources, apps::open_sources(options.sources));
  FL_TRY(auto recorder, trace::Recorder::create(options.to));
  for (auto& source : sources) recorder.add(std::move(source));
  std::optional<apps::TracedCommand> command;
  if (!options.command.empty()) {
    FL_TRY(auto started, apps::TracedCommand::start(options.command));
    command.emplace(std::move(started));
  }
  const std::int64_t limit_ns =
      options.duration ? *base::parse_duration_ns(*options.duration) : base::kLongestNs;
  const std::int64_t started_ns = base::monotonic_ns();
  bool by_itself = false;
  FL_TRY_STATUS(recorder.run([&] {
    by_itself = command && command->ended();
    return by_itself || end.asked() || base::monotonic_ns() - started_ns >= limit_ns;
  }));
  tell_recorded(options, recorder.events(), recorder.lost());
  if (by_itself && !end.asked() && command->code() != 0) {
    return base::fail(ErrorKind::kIo, fmt::format("{} ended with {}; what it did is recorded",
                                                  options.command[0], command->code()));
  }
  return {};
}

int run_record(const Options& options) {
  auto end = daemon::EndWatch::start(kProgram);
  if (!end) return failed(end.error());
  const auto recorded = record(options, **end);
  return recorded ? apps::kDone : failed(recorded.error());
}

// ---- live ----

int run_live(Options& options) {
  auto end = daemon::EndWatch::start(kProgram);
  if (!end) return failed(end.error());
  options.live.json = options.json();
  auto sources = apps::open_sources(options.sources);
  if (!sources) return failed(sources.error());
  const auto shown = apps::trace_live(std::move(*sources), options.live, **end);
  return shown ? apps::kDone : failed(shown.error());
}

// ---- report ----

int run_report(const Options& options) {
  const auto trace = trace::read_trace(options.from);
  if (!trace) return failed(trace.error());
  std::vector<trace::Pairing> pairings;
  for (const std::string& text : options.pairs) {
    const auto pairing = trace::parse_pairing(*trace, text);
    if (!pairing) return failed(pairing.error());
    pairings.push_back(*pairing);
  }
  const trace::Report report = trace::make_report(*trace, pairings);
  if (options.json()) {
    std::puts(trace::report_json(*trace, report).c_str());
  } else {
    std::fputs(trace::report_text(*trace, report).c_str(), stdout);
  }
  if (!options.plots) return apps::kDone;
  const auto drawn = apps::plot_trace(*options.plots, *trace, report);
  if (!drawn) return failed(drawn.error());
  if (!*drawn) {
    std::fprintf(stderr, "%s: no gnuplot here: %s holds data and scripts only\n", kProgram,
                 options.plots->c_str());
  } else if (!options.json()) {
    std::printf("drawn in %s\n", options.plots->c_str());
  }
  return apps::kDone;
}

// ---- export and import ----

int run_export(const Options& options) {
  const auto trace = trace::read_trace(options.from);
  if (!trace) return failed(trace.error());
  base::Status written;
  if (options.format == "blktrace") written = trace::write_blktrace(*trace, options.target);
  if (options.format == "ctf") written = trace::write_ctf(*trace, options.target);
  if (options.format == "chrome") written = trace::write_chrome_file(*trace, options.target);
  return written ? apps::kDone : failed(written.error());
}

int run_import(const Options& options) {
  const auto trace = trace::read_blktrace(options.source);
  if (!trace) return failed(trace.error());
  const auto written = trace::write_trace(*trace, options.to);
  if (!written) return failed(written.error());
  tell_recorded(options, trace->events.size(), trace->lost());
  return apps::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("record block I/O and say where its time goes", kProgram);
  app.footer(apps::kUnits);
  Options options;
  const auto record = app.add_subcommand("record",
                                         "record until the duration is over, COMMAND has ended, or "
                                         "SIGINT; a command that still runs then is ended");
  apps::add_source_options(record, options.sources);
  record.add_option("-f,--file", options.to, "the recording")
      .check(apps::not_empty())
      .capture_default_str();
  record.add_option("--duration", options.duration, "end after so long")
      .option_text("DURATION")
      .check(apps::accepts([](const std::string& text) { return base::parse_duration_ns(text); }));
  record.add_option("command", options.command, "what to run and record, behind --");
  apps::add_output_option(record, options.output);

  const auto report = app.add_subcommand("report", "where the time went, what was merged, lost");
  report.add_option("file", options.from, "the recording").capture_default_str();
  report
      .add_option("--pair", options.pairs,
                  "which device stands behind which, by their names here; again for another")
      .option_text("FRONT=BACK[+SECTORS]")
      .one_each()
      .check(apps::not_empty());
  report.add_option("--plot", options.plots, "draw stages and seeks into this folder")
      .option_text("FOLDER")
      .check(apps::not_empty());
  apps::add_output_option(report, options.output);

  const auto live =
      app.add_subcommand("live", "the report of the last two intervals, over and over");
  apps::add_source_options(live, options.sources);
  live.add_option("--interval", options.live.interval_s, "seconds from one report to the next")
      .check(apps::accepts_interval())
      .capture_default_str();
  live.add_option("--rounds", options.live.rounds, "end after so many [at SIGINT or SIGTERM]")
      .option_text("N")
      .check(apps::accepts(
          [](const std::string& text) { return base::parse_unsigned(text, 1, 1'000'000'000); }));
  apps::add_output_option(live, options.output);

  const auto exporting = app.add_subcommand("export", "write the recording for other tools");
  exporting.add_option("file", options.from, "the recording").capture_default_str();
  exporting
      .add_option("--format", options.format, "blktrace (version 7), ctf (1.8) or chrome (JSON)")
      .required()
      .option_text("FORMAT")
      .check(apps::one_of({"blktrace", "ctf", "chrome"}));
  exporting
      .add_option("--to", options.target,
                  "PATH.blktrace.0 and so on; the folder of a CTF trace; the JSON file")
      .required()
      .option_text("PATH")
      .check(apps::not_empty());

  const auto importing = app.add_subcommand("import", "make a recording of blktrace's files");
  importing
      .add_option("path", options.source,
                  "PATH.blktrace.0 and so on, or one file as blkparse -d writes it")
      .required()
      .check(apps::not_empty());
  importing.add_option("-f,--file", options.to, "the recording")
      .check(apps::not_empty())
      .capture_default_str();
  apps::add_output_option(importing, options.output);
  app.require_subcommand(1, 1);
  return apps::run(app, argc, argv, [&] {
    if (record.parsed()) return run_record(options);
    if (exporting.parsed()) return run_export(options);
    if (importing.parsed()) return run_import(options);
    return live.parsed() ? run_live(options) : run_report(options);
  });
}
