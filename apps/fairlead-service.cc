// SPDX-License-Identifier: Apache-2.0
//
// fairlead service: serves the sectors of a disk image to many clients (document 000, 3-1, 3-2).
#include <sched.h>

#include <cstdio>
#include <string>

#include "apps/command.h"
#include "apps/service_daemon.h"
#include "apps/service_questions.h"
#include "base/standard_streams.h"
#include "base/units.h"

namespace {

using fairlead::apps::accepts;
using fairlead::apps::ServiceCommand;
namespace base = fairlead::base;

std::uint32_t usable_cores() {
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  return static_cast<std::uint32_t>(CPU_COUNT(&cores));
}

void add_start_options(CLI::App& start, ServiceCommand& command) {
  auto& limits = command.limits;
  start.add_option("--image", command.image, "file or block device to serve, or null:SIZE")
      ->capture_default_str();
  start
      .add_option_function<std::string>(
          "--cache-bytes",
          [&](const std::string& text) { command.cache_bytes = *base::parse_bytes(text); },
          "cache, bookkeeping included; at most and by default 1 % of the image, by default no "
          "more than a quarter of the memory to be had")
      ->check(accepts([](const std::string& text) { return base::parse_bytes(text); }, "SIZE"));
  const auto duration = [](const std::string& text) { return base::parse_duration_ns(text); };
  start
      .add_option_function<std::string>(
          "--idle-timeout",
          [&](const std::string& text) { limits.idle_ns = *base::parse_duration_ns(text); },
          "end after this long without a request; 0: never [300]")
      ->check(accepts(duration, "DURATION"));
  start
      .add_option_function<std::string>(
          "--poll",
          [&](const std::string& text) { limits.poll_ns = *base::parse_duration_ns(text); },
          "longest look for work before sleeping; 0: always sleep [1ms]")
      ->check(accepts(duration, "DURATION"));
  start.add_option("--queue-depth", limits.queue_depth, "most reads at the device at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  start.add_option("--max-clients", limits.clients, "most clients of one user at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  start.add_option("--max-slots", limits.slots, "most requests in flight of one client")
      ->check(CLI::Range(2, 4096))
      ->capture_default_str();
  start.add_option("--max-data", limits.data_bytes, "largest request in bytes")
      ->check(CLI::Range(512, 65536))
      ->capture_default_str();
  start.add_option("--engine", command.limits.engine, "how to read: auto, uring or pool")
      ->transform(CLI::CheckedTransformer(std::map<std::string, fairlead::block::EngineKind>{
          {"auto", fairlead::block::EngineKind::kAuto},
          {"uring", fairlead::block::EngineKind::kUring},
          {"pool", fairlead::block::EngineKind::kPool}}))
      ->default_str("auto");
  start.add_flag("--foreground", command.foreground, "do not become a daemon");
  start.add_flag("!--no-sandbox", command.sandbox, "keep system calls and privileges (debugging)");
}

}  // namespace

int main(int argc, char** argv) {
  fairlead::base::hold_standard_streams();
  CLI::App app("serve the sectors of a disk image to many client processes", "fairlead-service");
  ServiceCommand command;
  command.limits.cores = usable_cores();
  app.require_subcommand(1);
  app.add_option("--name", command.name, "of the service, when there are several")
      ->capture_default_str();
  app.fallthrough();
  app.set_config("--config", "", "read options from a TOML file");
  bool print_config = false;
  app.add_flag("--print-config", print_config, "print the resulting options as TOML and end")
      ->configurable(false);

  auto* start = app.add_subcommand("start", "start serving; returns when clients may come");
  add_start_options(*start, command);
  auto* stop = app.add_subcommand("stop", "end the service; prints hit ratio and totals");
  auto* status = app.add_subcommand("status", "print what a running service counts");
  bool watch = false;
  for (auto* question : {stop, status}) {
    question->add_option("-o,--output", command.output, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
  }
  status->add_flag("--watch", watch, "again every second, until interrupted");

  return fairlead::apps::run(app, argc, argv, [&] {
    if (print_config) {
      std::fputs(app.config_to_str(true, true).c_str(), stdout);
      return fairlead::apps::kDone;
    }
    if (start->parsed()) return fairlead::apps::start_service(command);
    if (stop->parsed()) return fairlead::apps::stop_service(command);
    return fairlead::apps::show_status(command, watch);
  });
}
