// SPDX-License-Identifier: Apache-2.0
#include "apps/disk_predict.h"

#include <cstdio>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/disk_options.h"
#include "apps/request_file.h"
#include "base/json.h"
#include "base/text_table.h"
#include "disk/request_trace.h"

namespace fairlead::apps {
namespace {

constexpr double kManyEarly = 0.05;  // of the requests

struct Column {
  const char* name;   // in JSON
  const char* title;  // in tables
};
constexpr Column kColumns[sim::kPredictedFigures] = {{"service_ms", "service ms"},
                                                     {"response_ms", "response ms"},
                                                     {"p99_ms", "p99 ms"},
                                                     {"sectors_per_ms", "sectors/ms"}};

std::string text_of(const sim::PredictedScheduler& one, std::size_t figure) {
  return fmt::format("{:.2f} ± {:.2f}", one.mean[figure], one.half_width[figure]);
}

void show_text(const PredictOptions& options, const Drive& like,
               const sim::DiskPrediction& prediction) {
  std::string out = about_fit(prediction.fit, options.model.trace, like) + "\n";
  out += fmt::format("on {} transfers held out: {}\n", prediction.fit.error.count,
                     error_text(prediction.fit.error));
  std::vector<std::string> head{"scheduler"};
  for (const Column& column : kColumns) head.emplace_back(column.title);
  base::TextTable table(std::move(head));
  std::vector<std::string> observed{options.plan.ran + ", observed"};
  std::vector<std::string> own{options.plan.ran + ", by the model"};
  for (std::size_t i = 0; i < sim::kPredictedFigures; ++i) {
    observed.push_back(fmt::format("{:.2f}", prediction.observed[i]));
    own.push_back(text_of(prediction.own, i));
  }
  table.add(std::move(observed));
  table.add(std::move(own));
  for (const sim::PredictedScheduler& one : prediction.others) {
    std::vector<std::string> row{one.scheduler};
    for (std::size_t i = 0; i < sim::kPredictedFigures; ++i) row.push_back(text_of(one, i));
    table.add(std::move(row));
  }
  out += table.text();
  out += fmt::format(
      "± is half of the 95 % interval of a run of {} requests, from {} draws and from how far the\n"
      "model is off for {}, by which all others were corrected\n",
      prediction.requests, options.plan.draws, options.plan.ran);
  std::fputs(out.c_str(), stdout);
}

void add_figures(base::JsonWriter& json, const sim::PredictedScheduler& one) {
  json.begin_object().member("scheduler", one.scheduler);
  for (std::size_t i = 0; i < sim::kPredictedFigures; ++i) {
    json.key(kColumns[i].name).begin_object().member("mean", one.mean[i]);
    json.member("half_width_95", one.half_width[i]).end_object();
  }
  json.end_object();
}

void show_json(const PredictOptions& options, const Drive& like,
               const sim::DiskPrediction& prediction) {
  std::string line;
  base::JsonWriter json(line);
  const disk::FitError& error = prediction.fit.error;
  json.begin_object().member("trace", options.model.trace).member("model", options.model.model);
  json.member("like", like.name).member("loop", options.loop);
  json.member("draws", options.plan.draws).member("seed", options.plan.seed);
  json.member("requests", prediction.requests).member("early", prediction.early);
  json.key("fit").begin_object().member("rms_ns", error.rms_ns).member("demerit", error.demerit);
  json.member("relative", error.relative).member("coherence", prediction.fit.coherence);
  json.end_object().key("observed").begin_object();
  json.member("scheduler", options.plan.ran);
  for (std::size_t i = 0; i < sim::kPredictedFigures; ++i) {
    json.member(kColumns[i].name, prediction.observed[i]);
  }
  json.end_object().key("own");
  add_figures(json, prediction.own);
  json.key("schedulers").begin_array();
  for (const sim::PredictedScheduler& one : prediction.others) add_figures(json, one);
  json.end_array().end_object();
  std::puts(line.c_str());
}

void warn_of_early(const sim::DiskPrediction& prediction) {
  if (prediction.early < kManyEarly) return;
  std::fprintf(stderr,
               "%s: %.0f %% of the requests came before their process had its last answer: "
               "--loop open may be nearer\n",
               kDisk, 100 * prediction.early);
}

base::Status predict_and_tell(PredictOptions& options) {
  FL_TRY(const disk::RequestTrace trace, read_requests(options.model.trace));
  FL_TRY(const Drive like, drive_like(options.model, trace));
  options.plan.loop = options.loop == "open" ? sim::Loop::kOpen : sim::Loop::kClosed;
  auto prediction = sim::predict(trace, like.shape, options.plan);
  if (!prediction) return base::fail(std::move(prediction).error().at(options.model.trace));
  warn_of_early(*prediction);
  if (options.model.output == "json") {
    show_json(options, like, *prediction);
  } else {
    show_text(options, like, *prediction);
  }
  return {};
}

}  // namespace

void add_predict_options(Command command, PredictOptions& options) {
  sim::PredictionPlan& plan = options.plan;
  add_model_options(command, options.model);
  command.add_option("--ran", plan.ran, "the scheduler that the trace is of")
      .required()
      .check(is_scheduler())
      .type_name("NAME");
  command.add_option("--scheduler", plan.schedulers, "one to predict, may be given again [all]")
      .one_each()
      .check(is_scheduler())
      .type_name("NAME");
  command
      .add_option("--loop", options.loop,
                  "closed: processes ask when they have thought about their last answer; open: "
                  "requests come at their times")
      .check(one_of({"closed", "open"}))
      .type_name("closed|open")
      .capture_default_str();
  add_count(command, "--draws", plan.draws, 2U, 1000U, "of the fit and the work, for the interval");
  add_count(command, "--seed", plan.seed, std::uint64_t{0}, UINT64_MAX, "of chance");
  add_queue_options(command, plan.shape, plan.queueing);
  add_output_option(command, options.model.output);
}

int predict_disk(PredictOptions options) {
  if (options.plan.schedulers.empty()) options.plan.schedulers = scheduler_names();
  options.plan.on_step = show_step;
  if (const auto done = predict_and_tell(options); !done) return fail(kDisk, done.error());
  return kDone;
}

}  // namespace fairlead::apps
