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
  std::string service = "block";
  block::WorkloadOptions workload;
  block::ClientOptions client;
  std::string output = "text";
  bool files = true;
};

base::Result<std::string> socket_of(const std::string& service) {
  auto folder = daemon::RuntimeDir::open(daemon::RuntimeDir::Purpose::kUse);
  if (!folder) {
    if (folder.error().kind() != ErrorKind::kNotFound) return base::fail(folder.error());
    return base::fail(base::Error(ErrorKind::kNotFound, "no service is running")
                          .advise("start one: ./bin/service start"));
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
  if (!client)
    return base::fail(std::move(client).error().at("connect to '" + command.service + "'"));
  FL_TRY(const abi::BlockGeometry geometry, (*client)->geometry());

  block::Records records;
  block::WorkloadOptions workload = command.workload;
  workload.keep_records = command.files;
  if (command.files) FL_TRY_STATUS(records.reserve(workload.requests));

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
  if (command.files) FL_TRY_STATUS(records.write(result->requests, std::to_string(::getpid())));
  std::puts(command.output == "json" ? as_json(command, *result, **client).c_str()
                                     : block::result_line(*result).c_str());
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  fairlead::base::hold_standard_streams();
  CLI::App app("read random sectors from a fairlead service and time each request", kProgram);
  ClientCommand command;
  std::random_device entropy;
  command.workload.seed = (std::uint64_t{entropy()} << 32) | entropy();
  app.add_option("threads", command.workload.threads, "how many read at once")
      ->required()
      ->check(CLI::Range(std::uint32_t{1}, kMostThreads));
  auto* requests = app.add_option("requests", command.workload.requests, "how many reads in all")
                       ->check(CLI::Range(std::uint64_t{1}, kMostRequests));
  app.add_option("--name", command.service, "of the service")->capture_default_str();
  app.add_option_function<std::string>(
         "--pattern",
         [&](const std::string& text) { command.workload.pattern = *block::parse_pattern(text); },
         "uniform, zipf:S or seq [uniform]")
      ->check(apps::accepts([](const std::string& text) { return block::parse_pattern(text); },
                            "PATTERN"));
  const auto duration = [](const std::string& text) { return base::parse_duration_ns(text); };
  app.add_option_function<std::string>(
         "--duration",
         [&](const std::string& text) {
           command.workload.duration_ns = *base::parse_duration_ns(text);
         },
         "stop after this long, whatever is left")
      ->check(apps::accepts(duration, "DURATION"));
  app.add_option_function<std::string>(
         "--poll",
         [&](const std::string& text) { command.client.poll_ns = *base::parse_duration_ns(text); },
         "longest look for an answer before sleeping; 0: always sleep [1ms]")
      ->check(apps::accepts(duration, "DURATION"));
  app.add_option_function<std::string>(
         "--reconnect",
         [&](const std::string& text) {
           command.client.reconnect_ns = *base::parse_duration_ns(text);
         },
         "wait this long for a service that died [10s]")
      ->check(apps::accepts(duration, "DURATION"));
  app.add_option("--seed", command.workload.seed, "repeat the same sectors [random]")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--weight", command.client.weight, "share against other clients")
      ->check(CLI::Range(std::uint32_t{1}, abi::kMaxWeight))
      ->capture_default_str();
  app.add_option("-o,--output", command.output, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_flag("!--no-files", command.files, "do not write sectors.PID and read.PID");
  return apps::run(app, argc, argv, [&] {
    if (requests->count() == 0 && (command.workload.duration_ns == 0 || command.files)) {
      std::fprintf(stderr,
                   "%s: requests is required, unless --duration and --no-files are given "
                   "(try --help)\n",
                   kProgram);
      return apps::kUsage;
    }
    const auto status = measure(command);
    return status ? apps::kDone : apps::fail(kProgram, status.error());
  });
}
