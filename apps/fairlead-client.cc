// SPDX-License-Identifier: Apache-2.0
//
// fairlead client: THREADS threads read REQUESTS random sectors (document 000, 3-3).
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "apps/command.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/standard_streams.h"
#include "base/units.h"
#include "block/workload.h"
#include "daemon/runtime_dir.h"
#include "fairlead/abi/control.h"

namespace {

using namespace fairlead;
using base::ErrorKind;

constexpr const char* kProgram = "fairlead-client";
constexpr std::uint32_t kMostThreads = 10'000;
constexpr std::uint64_t kMostRequests = 1'000'000'000'000;
constexpr std::uint32_t kMostSlots = 1024;

struct ClientCommand {
  std::string service = apps::kDefaultService;
  block::WorkloadOptions workload;
  block::ClientOptions client;
  std::string output = "text";
  bool files = true;
};

base::Result<std::string> socket_of(const std::string& service) {
  auto folder = daemon::RuntimeDir::open(daemon::RuntimeDir::Purpose::kUse);
  if (!folder) {
    if (folder.error().kind() != ErrorKind::kNotFound) return base::fail(folder.error());
    return base::fail(apps::advise_start(std::move(folder).error(), service));
  }
  FL_TRY(const auto files, folder->files(service));
  return files.socket;
}

std::string as_json(const ClientCommand& command, const block::WorkloadResult& result,
                    const block::Client& client) {
  std::string out;
  base::JsonWriter json(out);
  json.begin_object()
      .member("threads", command.workload.threads)
      .member("requests", result.requests)
      .member("seed", command.workload.seed)
      .member("wall_ns", result.wall_ns)
      .member("requests_per_second", result.per_second())
      .member("reconnects", client.reconnects());
  json.key("latency_ns").begin_object();
  json.member("max", result.latency.max())
      .member("mean", result.latency.mean())
      .member("min", result.latency.min())
      .member("stddev", result.latency.standard_deviation());
  for (const auto& [name, q] :
       {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}, {"p99_99", 0.9999}}) {
    json.member(name, result.histogram.quantile(q));
  }
  json.key("histogram").begin_array();
  for (int percent = 0; percent <= 100; ++percent) {
    json.value(result.histogram.quantile(percent / 100.0));
  }
  json.end_array().end_object().end_object();
  return out;
}

base::Status measure(const ClientCommand& command) {
  block::ClientOptions options = command.client;
  FL_TRY(options.socket_path, socket_of(command.service));
  options.slots = std::min(command.workload.threads, kMostSlots);
  auto client = block::Client::connect(options);
  if (!client) {
    return base::fail(apps::advise_start(std::move(client).error(), command.service)
                          .at("connect to '" + command.service + "'"));
  }
  FL_TRY(const abi::BlockGeometry geometry, (*client)->geometry());

  block::Records records;
  block::WorkloadOptions workload = command.workload;
  workload.keep_records = command.files;
  const std::string suffix = std::to_string(::getpid());
  if (command.files) {
    FL_TRY_STATUS(block::Records::try_files(suffix));
    FL_TRY_STATUS(records.reserve(workload.requests));
  }

  std::atomic<std::uint64_t> done{0};
  const base::SystemClock clock;
  base::Result<block::WorkloadResult> result = block::WorkloadResult{};
  {
    base::Progress progress("reading", workload.requests, done, clock);
    std::jthread ticker([&](const std::stop_token& stop) {
      while (!stop.stop_requested() && ::isatty(STDERR_FILENO) != 0) {
        progress.tick();
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
    });
    result = block::run(**client, geometry, workload, records, done);
  }
  if (!result) return base::fail(std::move(result).error());
  // First: what was measured is not lost where the files cannot be written.
  std::puts(command.output == "json" ? as_json(command, *result, **client).c_str()
                                     : block::result_line(*result).c_str());
  apps::flush_stdout();
  if (!command.files) return {};
  FL_TRY_STATUS(records.write(result->requests, suffix));
  if (::isatty(STDERR_FILENO) != 0) {
    std::fprintf(stderr, "%s: wrote sectors.%s and read.%s\n", kProgram, suffix.c_str(),
                 suffix.c_str());
  }
  return {};
}

// An option whose text `parse` understands and `take` keeps.
template <typename Parse, typename Take>
apps::Option add_parsed(apps::Command app, const std::string& name, Parse parse, Take take,
                        const std::string& what) {
  return app
      .add_option_function(
          name, [parse, take](const std::string& text) { take(*parse(text)); }, what)
      .check(apps::accepts(parse));
}

void add_options(apps::Command app, ClientCommand& command) {
  const auto duration = [](const std::string& text) { return base::parse_duration_ns(text); };
  const auto keep = [](std::int64_t& where) {
    return [&where](std::int64_t value) { where = value; };
  };
  app.add_option("threads", command.workload.threads, "how many read at once, 1 to 10000")
      .required()
      .check(apps::within(std::uint32_t{1}, kMostThreads))
      .option_text("N");
  app.add_option("requests", command.workload.requests,
                 "how many reads in all; may be left out with --duration and --no-files")
      .check(apps::within(std::uint64_t{1}, kMostRequests))
      .option_text("N");
  app.add_option("--name", command.service, "the service's name")
      .check(apps::accepts(daemon::RuntimeDir::check_name))
      .type_name("NAME")
      .capture_default_str();
  add_parsed(
      app, "--pattern", [](const std::string& text) { return block::parse_pattern(text); },
      [&command](block::Pattern pattern) { command.workload.pattern = pattern; }, "which sectors")
      .type_name("uniform|zipf:S|seq")
      .default_str("uniform");
  add_parsed(app, "--duration", duration, keep(command.workload.duration_ns),
             "stop after this long, whatever is left")
      .type_name("DURATION");
  add_parsed(app, "--poll", duration, keep(command.client.poll_ns),
             "longest look for an answer before sleeping; 0: always sleep")
      .type_name("DURATION")
      .default_str("1ms");
  add_parsed(app, "--reconnect", duration, keep(command.client.reconnect_ns),
             "wait this long for a service that died")
      .type_name("DURATION")
      .default_str("10s");
  add_parsed(
      app, "--seed", [](const std::string& text) { return base::parse_unsigned(text); },
      [&command](std::uint64_t seed) { command.workload.seed = seed; },
      "repeat the same sectors; a random one if it is not given")
      .type_name("N");
  app.add_option("--weight", command.client.weight,
                 "share against other clients, 1 to 1000; the service may give less")
      .check(apps::within(std::uint32_t{1}, abi::kMaxWeight))
      .type_name("N")
      .capture_default_str();
  apps::add_output_option(app, command.output);
  app.add_flag_callback(
      "--no-files", [&command] { command.files = false; }, "do not write sectors.PID and read.PID");
}

}  // namespace

int main(int argc, char** argv) {
  fairlead::base::hold_standard_streams();
  apps::CommandLine app("read random sectors from a fairlead service and time each request",
                        kProgram);
  ClientCommand command;
  std::random_device entropy;
  command.workload.seed = (std::uint64_t{entropy()} << 32) | entropy();
  app.footer(apps::kUnits);
  add_options(app, command);
  return apps::run(app, argc, argv, [&] {
    if (command.workload.requests == 0 && (command.workload.duration_ns == 0 || command.files)) {
      return apps::fail_usage(kProgram,
                              "requests is required, unless --duration and --no-files are given");
    }
    const auto status = measure(command);
    return status ? apps::kDone : apps::fail(kProgram, status.error());
  });
}
