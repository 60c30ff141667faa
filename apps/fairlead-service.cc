// SPDX-License-Identifier: Apache-2.0
//
// fairlead service: serves the sectors of a disk image to many clients (document 000, 3-1, 3-2).
#include <sched.h>

#include <cstdio>
#include <optional>
#include <string>

#include "apps/command.h"
#include "apps/service_daemon.h"
#include "apps/service_questions.h"
#include "base/standard_streams.h"
#include "base/units.h"
#include "block/image.h"
#include "daemon/runtime_dir.h"
#include "disk/scheduler_table.h"
#include "fairlead/abi/control.h"

namespace {

using fairlead::apps::accepts;
using fairlead::apps::add_count;
using fairlead::apps::add_duration;
using fairlead::apps::Command;
using fairlead::apps::not_empty;
using fairlead::apps::one_of;
using fairlead::apps::ServiceCommand;
using fairlead::block::EngineKind;
namespace base = fairlead::base;

std::uint32_t usable_cores() {
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  return static_cast<std::uint32_t>(CPU_COUNT(&cores));
}

// "auto" is none: what the service chooses.
base::Result<std::optional<std::uint64_t>> parse_cache_bytes(const std::string& text) {
  if (text == "auto") return std::nullopt;
  FL_TRY(const std::uint64_t bytes, base::parse_bytes(text));
  return bytes;
}

base::Result<std::uint64_t> parse_data_bytes(const std::string& text) {
  FL_TRY(const std::uint64_t bytes, base::parse_unsigned(text, 512, 65536));
  if (bytes % 512 == 0) return bytes;
  return base::fail(base::ErrorKind::kInvalid, text + " is no multiple of 512");
}

EngineKind engine_of(const std::string& word) {
  if (word == "uring") return EngineKind::kUring;
  return word == "pool" ? EngineKind::kPool : EngineKind::kAuto;
}

// "auto" adapts from 1 on.
base::Result<fairlead::apps::ChosenK> parse_k(const std::string& text) {
  using fairlead::apps::ChosenK;
  if (text == "auto") return ChosenK{1, false};
  if (text == "lock") return ChosenK{1, true};
  using fairlead::disk::Dilation;
  const auto k = base::parse_real(text, Dilation::kLeast, Dilation::kMost);
  if (k) return ChosenK{*k, true};
  return base::fail(base::ErrorKind::kInvalid,
                    text + " is none of auto, lock, a number from 0.0625 to 64");
}

constexpr const char* kAuto = "auto";

base::Result<std::uint64_t> parse_depth(const std::string& text) {
  if (text == kAuto) return 0;
  return base::parse_unsigned(text, 1, 256);
}

void add_disk_options(Command start, ServiceCommand& command) {
  start
      .add_option("--throttle", command.throttle.drive_name,
                  "give the image the timing of this drive (see `fairlead disk drives`)")
      .type_name("DRIVE|FILE");
  start
      .add_option_function(
          "--scheduler",
          [&command](const std::string& text) {
            if (text != kAuto) command.scheduler = text;
          },
          "who is read next: NAME[:PARAMETER=VALUE,...] (see `fairlead disk schedulers`); auto is "
          "noop with --throttle, else none")
      .check(accepts([](const std::string& text) -> base::Result<bool> {
        if (text != kAuto) FL_TRY_STATUS(fairlead::disk::check_scheduler(text));
        return true;
      }))
      .type_name("NAME|auto")
      .default_str(kAuto);
  start
      .add_option_function(
          "--k",
          [&command](const std::string& text) {
            if (text != kAuto) command.k = *parse_k(text);
          },
          "with --throttle: how many times slower than the drive; auto adapts, lock is 1")
      .check(accepts(parse_k))
      .type_name("auto|N|lock")
      .default_str("auto");
  start
      .add_option_function(
          "--disk-depth",
          [&command](const std::string& text) {
            if (text != kAuto) command.disk_depth = static_cast<std::uint32_t>(*parse_depth(text));
          },
          "with a scheduler: transfers taken from it and not ended, 1 to 256; auto is 2 with "
          "--throttle, else 32")
      .check(accepts(parse_depth))
      .type_name("N|auto")
      .default_str(kAuto);
  start
      .add_option("--disk-log", command.disk_log,
                  "with --throttle: each request as CSV, for `fairlead disk`")
      .check(not_empty())
      .configurable(false)
      .type_name("FILE");
}

void add_start_options(Command start, ServiceCommand& command) {
  auto& limits = command.limits;
  start.add_option("--image", command.image, "file or block device to serve, or null:SIZE")
      .check(accepts(fairlead::block::Image::check_spec))
      .type_name("FILE")
      .capture_default_str();
  start
      .add_option_function(
          "--cache-bytes",
          [&](const std::string& text) { command.cache_bytes = *parse_cache_bytes(text); },
          "cache, bookkeeping included; at most 1 % of the image; auto is that, but no more than a "
          "quarter of the memory to be had")
      .check(accepts(parse_cache_bytes))
      .type_name("SIZE|auto")
      .default_str("auto");
  add_duration(start, "--idle-timeout", limits.idle_ns,
               "end after this long without a request; 0: never", "300s");
  add_duration(start, "--poll", limits.poll_ns,
               "longest look for work before sleeping; 0: always sleep", "1ms");
  add_count(start, "--queue-depth", limits.queue_depth, 1, 4096,
            "most reads at the device at once, 1 to 4096");
  add_count(start, "--max-clients", limits.clients, 1, 4096,
            "most clients of one user at once, 1 to 4096");
  add_count(start, "--max-slots", limits.slots, 2, 4096,
            "most requests in flight of one client, 2 to 4096");
  start
      .add_option_function(
          "--max-data",
          [&](const std::string& text) {
            limits.data_bytes = static_cast<std::uint32_t>(*parse_data_bytes(text));
          },
          "largest request in bytes, a multiple of 512 up to 65536")
      .check(accepts(parse_data_bytes))
      .type_name("N")
      .default_str(std::to_string(limits.data_bytes));
  add_count(start, "--max-weight", limits.weight, 1, fairlead::abi::kMaxWeight,
            "greatest weight that a client is given, 1 to 1000");
  start
      .add_option_function(
          "--engine", [&](const std::string& word) { limits.engine = engine_of(word); },
          "how to read: by io_uring, or a pool of threads")
      .check(one_of({"auto", "uring", "pool"}))
      .type_name("auto|uring|pool")
      .default_str("auto");
  add_disk_options(start, command);
  start.add_flag("--foreground", command.foreground, "do not become a daemon");
  start.add_flag_callback(
      "--no-sandbox", [&] { command.sandbox = false; },
      "keep system calls and privileges (debugging)");
}

}  // namespace

int main(int argc, char** argv) {
  fairlead::base::hold_standard_streams();
  fairlead::apps::CommandLine app("serve the sectors of a disk image to many client processes",
                                  "fairlead-service");
  ServiceCommand command;
  command.limits.cores = usable_cores();
  app.require_subcommand(0, 1);
  app.footer(fairlead::apps::kUnits);
  app.add_option("--name", command.name, "the service's name, when there are several")
      .check(accepts(fairlead::daemon::RuntimeDir::check_name))
      .type_name("NAME")
      .capture_default_str();
  app.fallthrough();
  app.set_config("--config", "read options from a TOML file").type_name("FILE");
  bool print_config = false;
  app.add_flag("--print-config", print_config, "print the resulting options as TOML and end")
      .configurable(false);

  const auto start = app.add_subcommand("start", "start serving; returns when clients may come");
  add_start_options(start, command);
  const auto stop = app.add_subcommand("stop", "end the service; prints hit ratio and totals");
  const auto status = app.add_subcommand("status", "print what a running service counts");
  bool watch = false;
  for (const auto question : {stop, status}) {
    fairlead::apps::add_output_option(question, command.output);
  }
  status.add_flag("--watch", watch, "again every second, until interrupted");

  return fairlead::apps::run(app, argc, argv, [&] {
    if (print_config) {
      std::fputs(app.config_to_str().c_str(), stdout);
      return fairlead::apps::kDone;
    }
    if (start.parsed()) return fairlead::apps::start_service(command);
    if (stop.parsed()) return fairlead::apps::stop_service(command);
    if (status.parsed()) return fairlead::apps::show_status(command, watch);
    return fairlead::apps::fail_usage(app.name(), "say what to do: start, stop or status");
  });
}
